"""Shapes of strangers' files, rebuilt by generators, small, and the same each time."""

import bz2
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from random import Random

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq

from tests.support.strangers.shape import Shape

ROWS = 60
START = datetime(2026, 1, 5, 7, 30, tzinfo=UTC)


def _csv(header: str, row: Callable[[int], Sequence[object]], rows: int = ROWS, separator: str = ",") -> bytes:
    lines = [separator.join(map(str, row(number))) for number in range(rows)]
    return "\n".join([header.replace(",", separator), *lines, ""]).encode()


def _jsonl(rows: Iterable[object]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def _day(number: int) -> datetime:
    return START + timedelta(days=number, minutes=37 * number)


def _dated(name: str, form: str) -> Shape:
    """A table of orders whose date is written in some way."""

    def text(number: int) -> str:
        at = _day(number)
        written = form.replace("%-", "%#")
        for letter, value in (("%#d", at.day), ("%#m", at.month), ("%#H", at.hour)):
            written = written.replace(letter, str(value))
        return at.strftime(written.replace("%q", str((at.month + 2) // 3)))

    data = _csv("Row ID,Order Date,Sales", lambda n: (n + 1, f'"{text(n)}"', f"{n}.{n % 10}5"))
    return Shape(name, "orders.csv", data)


def _packed(name: str, file: str, pack: Callable[[bytes], bytes]) -> Shape:
    return Shape(name, file, pack(_csv("id,seen_at,v", lambda n: (n, _day(n).isoformat(), n))))


def _zip(data: bytes, names: Sequence[str] = ("a.csv",)) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in names:
            archive.writestr(name, data)
    return packed.getvalue()


def _parquet() -> bytes:
    sink = io.BytesIO()
    times = pa.array([_day(number) for number in range(ROWS)], pa.timestamp("ns", "UTC"))
    pq.write_table(
        pa.table({"id": range(ROWS), "tpep_pickup_datetime": times, "fare": [n / 4 for n in range(ROWS)]}), sink
    )
    return sink.getvalue()


def _arrow() -> bytes:
    sink = io.BytesIO()
    times = pa.array([_day(number).replace(tzinfo=None) for number in range(ROWS)], pa.timestamp("ms"))
    kinds = pa.array(["card" if number % 2 else "cash" for number in range(ROWS)]).dictionary_encode()
    feather.write_feather(pa.table({"paid_at": times, "kind": kinds, "fare": [n / 4 for n in range(ROWS)]}), sink)
    return sink.getvalue()


def _random_rows(*columns: str) -> list[dict[str, object]]:
    random = Random(7)
    return [{"id": n, **{name: round(random.random() * 100, 2) for name in columns}} for n in range(ROWS)]


SHAPES: tuple[Shape, ...] = (
    _dated("two-digit years, as Excel exports them", "%-m/%-d/%y"),
    _dated("two-digit years with a time of day", "%-m/%-d/%y %-H:%M"),
    _dated("7-Nov-25", "%-d-%b-%y"),
    _dated("day first with dots", "%d.%m.%Y %H:%M"),
    _dated("month first with slashes", "%m/%d/%Y"),
    _dated("half days", "%m/%d/%Y %I:%M %p"),
    _dated("ISO without zeros", "%Y-%-m-%-d"),
    _dated("a year and a month", "%Y-%m"),
    _dated("a month by name and a year", "%b %Y"),
    _dated("a month as a number of six digits", "%Y%m"),
    _dated("quarters", "%YQ%q"),
    _dated("… UTC, as BigQuery writes", "%Y-%m-%d %H:%M:%S UTC"),
    _dated("RFC 2822", "%a, %d %b %Y %H:%M:%S +0000"),
    _dated("Apache's log", "%d/%b/%Y:%H:%M:%S +0200"),
    _dated("Twitter's", "%a %b %d %H:%M:%S +0000 %Y"),
    _dated("C's ctime", "%a %b %d %H:%M:%S %Y"),
    _dated("MMDDYYYY as a number", "%m%d%Y"),
    _dated("an offset after a blank (Shopify)", "%Y-%m-%d %H:%M:%S +0100"),
    Shape("epoch seconds with a fraction (zeek)", "conn.log", _jsonl(
        {"ts": _day(n).timestamp() + 0.82437, "uid": f"C{n}", "orig_bytes": n} for n in range(ROWS))),
    Shape("epoch seconds as a text (Slack)", "slack.jsonl", _jsonl(
        {"type": "message", "user": f"U{n % 5}", "ts": f"{_day(n).timestamp():.0f}.{n:06}"} for n in range(ROWS))),
    Shape("epoch milliseconds", "clicks.jsonl", _jsonl(
        {"id": n, "ts": int(_day(n).timestamp() * 1000), "value": n} for n in range(ROWS))),
    Shape("a time in a nested object (webhooks)", "hooks.jsonl", _jsonl(
        {"id": f"e{n}", "meta": {"ts": _day(n).isoformat()}, "amount": 399.0 + n / 2} for n in range(ROWS))),
    Shape("CloudEvents", "cloudevents.jsonl", _jsonl(
        {"specversion": "1.0", "id": f"c{n}", "source": "/orders", "type": "order.paid", "time": _day(n).isoformat(),
         "datacontenttype": "application/json", "data": {"total": n * 1.5}} for n in range(ROWS))),
    Shape("events of a shop with types (Stripe)", "charges.jsonl", _jsonl(
        {"id": f"evt_{n}", "object": "event", "created": int(_day(n).timestamp()), "type": "charge.succeeded",
         "livemode": False, "data": {"object": {"amount": n * 100}}} for n in range(ROWS))),
    Shape("GeoJSON", "quakes.geojson", json.dumps({"type": "FeatureCollection", "features": [
        {"type": "Feature", "id": f"q{n}", "properties": {"mag": n / 10, "time": int(_day(n).timestamp() * 1000)}}
        for n in range(ROWS)]}).encode(), within="features"),
    Shape("year, month and day of their own", "flights.csv", _csv(
        "year,month,day,delay", lambda n: (_day(n).year, _day(n).month, _day(n).day, n))),
    Shape("year and month of their own", "sunspots.csv", _csv(
        "year,month,spots", lambda n: (1950 + n // 12, n % 12 + 1, n))),
    Shape("no time at all", "iris.csv", _csv("sepal_length,species", lambda n: (f"{n / 10}", "setosa"))),
    Shape("a year only", "cars.csv", _csv("name,year,mpg", lambda n: (f"car{n}", 1970 + n % 12, n))),
    Shape("a date in a few rows only", "loans.csv", _csv(
        "id,amount,closed_at", lambda n: (n, n * 10, _day(n).date() if n % 3 == 0 else ""))),
    Shape("dates far apart", "born.csv", _csv(
        "id,born_at,v", lambda n: (n, f"{1971 + n % 55}-03-04T10:00:00Z", n))),
    Shape("dates before 1970", "founded.csv", _csv("id,founded_on,v", lambda n: (n, f"{1890 + n}-03-04", n))),
    Shape("NA in numbers (R)", "airquality.csv", _csv(
        "id,Date,Ozone,Wind", lambda n: (n, _day(n).date(), "NA" if n % 7 == 0 else n, f"{n}.5")), missing=("NA",)),
    Shape("NA in the time", "visits.csv", _csv(
        "id,d,v", lambda n: (n, "NA" if n == 9 else _day(n).date(), n)), bad=(9,)),
    Shape("NaN in numbers (pandas)", "passengers.csv", _csv(
        "PassengerId,Name,Sex,Age,Fare", lambda n: (
            n + 1, f'"Braund, Mr. Owen {n}"', ("male", "female")[n % 2], "NaN" if n % 9 == 0 else f"{n}.0",
            f"{n / 4}")), missing=("NaN",)),
    Shape("question marks for no value (UCI)", "adult.csv", _csv(
        "age,workclass,fnlwgt,hours-per-week", lambda n: (
            n + 17, "?" if n % 10 == 0 else "Private", 77516 + n, "?" if n % 15 == 0 else 40)), missing=("?",)),
    Shape("#N/A of Excel", "forecast.csv", _csv(
        "id,Month,Value", lambda n: (n, _day(n).date(), "#N/A" if n % 8 == 0 else n)), missing=("#N/A",)),
    Shape("blanks after commas", "ratings.csv", _csv(
        "userId, movieId, Timestamp", lambda n: (n, f" {n * 3}", f" {int(_day(n).timestamp())}"))),
    Shape("a blank for no number (telco)", "telco.csv", _csv(
        "id,seen_at,TotalCharges", lambda n: (n, _day(n).date(), " " if n == 5 else f"{n}.25"))),
    Shape("R's row numbers", "funnel.csv", _csv(
        "seen_at,b", lambda n: (n + 1, _day(n).isoformat(), n * 2)), labels=True),
    Shape("the index of pandas", "index.csv", _csv(",seen_at,b", lambda n: (n, _day(n).isoformat(), n * 2))),
    Shape("a number that customers repeat (online retail)", "retail.csv", _csv(
        "InvoiceNo,InvoiceDate,Quantity", lambda n: (536365 + n // 4, _day(n).isoformat(), n % 9))),
    Shape("a key and rows that came twice", "twice.csv", _csv(
        "id,seen_at,v", lambda n: (n % 58, _day(n % 58).isoformat(), n % 58))),
    Shape("a decimal comma and semicolons", "umsatz.csv", _csv(
        "Nr,Datum,Betrag", lambda n: (n, f"{_day(n):%d.%m.%Y}", f"1.{n:03},50"), separator=";"),
        separator=";", decimal=","),
    Shape("a bank's turnover", "konto.csv", "".join([
        "Buchungstag;Verwendungszweck;Betrag;Währung\n",
        *(f'{_day(n):%d.%m.%y};"Miete {n}; Größe";-{n + 1},9{n % 10};EUR\n' for n in range(ROWS))
    ]).encode("windows-1252"), encoding="windows-1252", separator=";", decimal=","),
    Shape("semicolons at each line's end (air quality)", "sensor.csv", _csv(
        "Date,CO(GT),T,,", lambda n: (f"{_day(n):%d/%m/%Y}", f"{n},6", f"{n % 20},1", "", ""), separator=";"),
        separator=";", decimal=","),
    Shape("tabs", "genes.tsv", _csv(
        "gene,seen_at,count", lambda n: (f"BRCA{n}", _day(n).date(), n), separator="\t"), separator="\t"),
    Shape("pipes", "feed.txt", _csv("id,seen_at,v", lambda n: (n, _day(n).date(), n), separator="|"), separator="|"),
    Shape("line ends of Windows and a mark", "export.csv", b"\xef\xbb\xbf" + _csv(
        "id,seen_at,v", lambda n: (n, _day(n).date(), n)).replace(b"\n", b"\r\n")),
    Shape("cells of several lines", "tickets.csv", _csv(
        "id,opened_at,text,points", lambda n: (n, _day(n).isoformat(), f'"a line\nand ""another"" {n}"', n))),
    Shape("thousands and currency", "budget.csv", _csv(
        "id,paid_on,amount,share", lambda n: (n, _day(n).date(), f'"$1,{n:03}.00"', f"{n}%")), signs="$,%"),
    Shape("millions", "towns.csv", _csv(
        "id,seen_at,people", lambda n: (n, _day(n).date(), f'"{n * 123_457:,}"')), signs=","),
    Shape("whole Euros", "miete.csv", _csv(
        "id,am,preis,anteil", lambda n: (
            n, f"{_day(n):%d.%m.%Y}", f"{n * 97:,} €".replace(",", "."), f"{n / 8:.1f} %".replace(".", ",")),
        separator=";"), separator=";", decimal=",", signs=" €%"),
    Shape("apostrophes and blanks between thousands", "konten.csv", _csv(
        "id,seen_at,chf,inhabitants", lambda n: (n, _day(n).date(), f"{n * 1234.5:,.2f}".replace(",", "'"),
                                                 f"{n * 4_321:,}".replace(",", " "))), signs="' "),
    Shape("thousands or fractions", "masses.csv", _csv(
        "id,seen_at,mass", lambda n: (n, _day(n).date(), f'"{n + 1},{n * 16:03}"'))),
    Shape("Sep-63 beside its year", "heroes.csv", _csv(
        "name,joined,year", lambda n: (f"hero {n}", f"{_day(n):%b}-{(1901 + 2 * n) % 100:02}", 1901 + 2 * n))),
    Shape("leading zeros", "shops.csv", _csv(
        "id,opened,zip,phone", lambda n: (n, _day(n).date(), f"{n + 501:05}", f"+49 30 90{n:04}"))),
    Shape("words for true and false", "survey.csv", _csv(
        "id,asked_at,smoker,member,flag", lambda n: (
            n, _day(n).date(), ("Yes", "No")[n % 2], ("Y", "N")[n % 2], n % 2))),
    Shape("SQL words and our own names as columns", "words.csv", _csv(
        "select,from,type,key,row_id,value,payload,group,order_at,_offset", lambda n: (
            n, "a", "b", n % 3, n, n * 2, "p", "g", _day(n).isoformat(), n))),
    Shape("the same column twice", "twin.csv", _csv("id,on,v,v,V", lambda n: (n, _day(n).date(), n, n + 1, n + 2))),
    Shape("names of other scripts", "namen_ü.csv", _csv(
        "№,日付,größe (cm),prix €", lambda n: (n, _day(n).date(), n, f"{n}.5"))),
    Shape("dates as columns (wide)", "cases.csv", _csv(
        "Province/State,Country/Region,Lat,Long," + ",".join(f"1/{day}/20" for day in range(1, 31)),
        lambda n: ("", f"Country {n}", f"{n}.5", f"-{n}.25", *(n * day for day in range(1, 31))))),
    Shape("three hundred columns", "wide.csv", _csv(
        "id,seen_at," + ",".join(f"f{c}" for c in range(300)), lambda n: (n, _day(n).date(), *range(n, n + 300)))),
    Shape("twelve hundred columns", "wider.csv", _csv(
        "id,seen_at," + ",".join(f"f{c}" for c in range(1200)), lambda n: (n, _day(n).date(), *range(n, n + 1200)))),
    Shape("one year as a column", "lean.csv", _csv("state,2022", lambda n: (f"State {n}", f"-{n}.5"))),
    Shape("days among times", "visits.csv", _csv(
        "id,seen_at,ended", lambda n: (n, _day(n).date(), f"2026-03-02{'T11:00' * (n % 2)}"))),
    Shape("names and passengers (personal)", "people.csv", _csv(
        "id,joined_on,first_name,email,city", lambda n: (n, _day(n).date(), "Zoë", f"z{n}@example.com", "Köln"))),
    Shape("rows cut short and too long", "ragged.csv", _csv(
        "id,seen_at,v,w", lambda n: (n, _day(n).date(), n, *[1] * (n != 4), *["x"] * (n == 7)))),
    Shape("windows-1252", "kunden.csv", b"id,seen_at,name\n" + "".join(
        f"{n},{_day(n):%Y-%m-%d},Zoë Müller\n" for n in range(ROWS)).encode("windows-1252"), encoding="windows-1252"),
    *(Shape(f"{language} in {encoding}", f"{language.lower()}.csv", "".join(
        [f"id,seen_at,{header}\n", *(f"{n},{_day(n):%Y-%m-%d},{text} {n}\n" for n in range(ROWS))]
    ).encode(encoding), encoding=encoding) for language, encoding, header, text in (
        ("Polish", "windows-1250", "nazwa", "Zażółć gęślą jaźń, świętość łąk".replace(",", "")),
        ("Russian", "windows-1251", "имя", "Съешь же ещё этих мягких французских булок"),
        ("Japanese", "shift_jis", "名前", "いろはにほへと ちりぬるを 東京都"),
        ("Greek", "windows-1253", "όνομα", "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία"),
        ("Hebrew", "windows-1255", "שם", "דג סקרן שט בים מאוכזב ולפתע מצא חברה"),
        ("Turkish", "windows-1254", "ad", "Pijamal\u0131 hasta ya\u011f\u0131z şoföre çabucak güvendi"),
        ("Chinese", "big5", "名稱", "台北市信義區 客戶訂購了三本書"),
        ("Korean", "euc-kr", "이름", "서울특별시 고객이 책 세 권을 주문했습니다"),
        ("Czech", "iso-8859-2", "název", "Příliš žluťoučký kůň úpěl ďábelské ódy"),
        ("Thai", "cp874", "ชื่อ", "กรุงเทพมหานคร ลูกค้าสั่งหนังสือสามเล่ม"))),
    Shape("a damaged byte in UTF-8", "namen.csv", b"id,seen_at,name\n" + b"".join(
        f"{n},{_day(n):%Y-%m-%d},".encode() + (b"Br\xffken\n" if n == 3 else "Müller\n".encode()) for n in range(ROWS)),
          bad=(3,)),
    Shape("UTF-16 of Excel", "unicode.txt", _csv("id,seen_at,v", lambda n: (n, _day(n).date(), n), separator="\t")
          .decode().encode("utf-16"), encoding="utf-16", separator="\t"),
    Shape("a JSON array", "cars.json", json.dumps([
        {**row, "seen_at": _day(int(str(row["id"]))).isoformat()} for row in _random_rows("x", "y")
    ], indent=1).encode()),
    Shape("objects back to back (CloudTrail)", "trail.json", b"".join(json.dumps(
        {"eventID": f"i{n}", "eventTime": _day(n).isoformat()}).encode() for n in range(ROWS))),
    Shape("CloudTrail's Records", "records.json", json.dumps({"Records": [
        {"eventID": f"i{n}", "eventTime": _day(n).isoformat()} for n in range(ROWS)]}).encode(), within="Records"),
    Shape("an API's page of results", "page.json", json.dumps({"count": ROWS, "next": None, "results": [
        {"id": n, "created_at": _day(n).isoformat(), "tags": ["a", "b"], "score": n / 8} for n in range(ROWS)
    ]}, indent=2).encode(), within="results"),
    Shape("Parquet of taxis", "trips.parquet", _parquet()),
    Shape("Arrow of Feather", "trips.arrow", _arrow()),
    _packed("gzip", "a.csv.gz", gzip.compress),
    _packed("bzip2", "a.csv.bz2", bz2.compress),
    _packed("xz", "a.csv.xz", lzma.compress),
    _packed("zip with one file", "a.zip", _zip),
    Shape("zip with two files", "two.zip", _zip(b"x", ("a.csv", "b.csv")),
          refused="is a zip with 2 files: unpack it, and name those that belong together."),
    Shape("an Excel workbook", "book.xlsx", _zip(b"x", ("xl/workbook.xml", "b")),
          refused="is an Excel workbook: save the sheet as CSV UTF-8 in Excel, and give that."),
    Shape("an old Excel workbook", "book.xls", b"\xd0\xcf\x11\xe0rest",
          refused="is an Excel workbook: save the sheet as CSV UTF-8 in Excel, and give that."),
    Shape("a PDF", "report.pdf", b"%PDF-1.4 rest", refused="is a PDF: give the table as CSV.", is_table=False),
    Shape("an empty file", "empty.csv", b"", refused="the sample is empty: give a file with a few rows.",
          is_table=False),
    Shape("a header only", "header.csv", b"a,b\n",
          refused="the sample has a header but no rows: give a file with a few.", is_table=False),
    Shape("no header", "data.csv", b"1,2026-01-05\n2,2026-01-06\n",
          refused="the first line looks like data ('1'), not like a header: add a first line that names the columns."),
    Shape("a web page", "page.html", b"<!DOCTYPE html>\n<html><body><table><tr><td>1</td></tr></table></body></html>\n",

          refused="is a web page: download the data that it shows, as CSV or JSON."),
    Shape("zeek's own log", "dns.log", b"#separator \\x09\n#fields\tts\tuid\n#types\ttime\tstring\n" + b"".join(
        f"{_day(n).timestamp()}\tC{n}\n".encode() for n in range(ROWS)), separator="\t"),
    Shape("lines above the header", "report.csv", b"Sales report\nMade on 2026-01-05\n\n" + _csv(
        "id,seen_at,v", lambda n: (n, _day(n).date(), n)), above=3),
    Shape("JSON of columns (pandas)", "frame.json", json.dumps({
        name: {str(n): n for n in range(ROWS)} for name in ("id", "v")}).encode(), within="columns"),
    Shape("XML", "feed.xml", b"<?xml version='1.0'?>\n<rows><row id='1'/></rows>\n",
          refused="is XML: write its rows as CSV or JSONL first."),
)  # fmt: skip
