"""Files as strangers have them: their shapes rebuilt by generators, small, and the same each time."""

import bz2
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 60
START = datetime(2026, 1, 5, 7, 30, tzinfo=UTC)


@dataclass(frozen=True)
class Shape:
    """A file and what becomes of it: its event time, how many rows go to quarantine, or why it is refused."""

    name: str
    file: str
    data: bytes
    event_time: str = "sent"
    quarantined: int = 0
    refused: str = ""


def _csv(header: str, row: Callable[[int], Sequence[object]], rows: int = ROWS, separator: str = ",") -> bytes:
    lines = [separator.join(map(str, row(number))) for number in range(rows)]
    return "\n".join([header.replace(",", separator), *lines, ""]).encode()


def _jsonl(rows: Iterable[object]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def _day(number: int) -> datetime:
    return START + timedelta(days=number, minutes=37 * number)


def _dated(name: str, form: str, event_time: str = "order_date") -> Shape:
    """A table of orders whose date is written in some way."""

    def text(number: int) -> str:
        at = _day(number)
        written = form.replace("%-", "%#")
        for letter, value in (("%#d", at.day), ("%#m", at.month), ("%#H", at.hour)):
            written = written.replace(letter, str(value))
        return at.strftime(written.replace("%q", str((at.month + 2) // 3)))

    data = _csv("Row ID,Order Date,Sales", lambda n: (n + 1, f'"{text(n)}"', f"{n}.{n % 10}5"))
    return Shape(name, "orders.csv", data, event_time)


def _packed(name: str, file: str, pack: Callable[[bytes], bytes]) -> Shape:
    return Shape(name, file, pack(_csv("id,seen_at,v", lambda n: (n, _day(n).isoformat(), n))), "seen_at")


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


def _random_rows(*columns: str) -> list[dict[str, object]]:
    random = Random(7)
    return [{"id": n, **{name: round(random.random() * 100, 2) for name in columns}} for n in range(ROWS)]


SHAPES: tuple[Shape, ...] = (
    _dated("two-digit years, as Excel exports them", "%-m/%-d/%y"),
    _dated("two-digit years with a time of day", "%-m/%-d/%y %-H:%M"),
    _dated("7-Nov-25", "%-d-%b-%y"),
    _dated("day first with dots", "%d.%m.%Y %H:%M"),
    _dated("month first with slashes", "%m/%d/%Y"),
    _dated("ISO without zeros", "%Y-%-m-%-d"),
    _dated("a year and a month", "%Y-%m"),
    _dated("a month by name and a year", "%b %Y"),
    _dated("quarters", "%YQ%q"),
    _dated("… UTC, as BigQuery writes", "%Y-%m-%d %H:%M:%S UTC"),
    _dated("RFC 2822", "%a, %d %b %Y %H:%M:%S +0000"),
    _dated("Apache's log", "%d/%b/%Y:%H:%M:%S +0200"),
    _dated("Twitter's", "%a %b %d %H:%M:%S +0000 %Y"),
    _dated("C's ctime", "%a %b %d %H:%M:%S %Y"),
    _dated("MMDDYYYY as a number", "%m%d%Y"),
    Shape("epoch seconds with a fraction (zeek)", "conn.log", _jsonl(
        {"ts": _day(n).timestamp() + 0.82437, "uid": f"C{n}", "orig_bytes": n} for n in range(ROWS)), "ts"),
    Shape("epoch seconds as a text (Slack)", "slack.jsonl", _jsonl(
        {"type": "message", "user": f"U{n % 5}", "ts": f"{_day(n).timestamp():.0f}.{n:06}"} for n in range(ROWS)
    ), "ts"),
    Shape("a time in a nested object (webhooks)", "hooks.jsonl", _jsonl(
        {"id": f"e{n}", "meta": {"ts": _day(n).isoformat()}, "amount": 399.0 + n / 2} for n in range(ROWS)), "meta_ts"),
    Shape("GeoJSON", "quakes.geojson", json.dumps({"type": "FeatureCollection", "features": [
        {"type": "Feature", "id": f"q{n}", "properties": {"mag": n / 10, "time": int(_day(n).timestamp() * 1000)}}
        for n in range(ROWS)]}).encode(), "properties_time"),
    Shape("year, month and day of their own", "flights.csv", _csv(
        "year,month,day,delay", lambda n: (_day(n).year, _day(n).month, _day(n).day, n)), "event_time"),
    Shape("year and month of their own", "sunspots.csv", _csv(
        "year,month,spots", lambda n: (1950 + n // 12, n % 12 + 1, n)), "event_time"),
    Shape("no time at all", "iris.csv", _csv("sepal_length,species", lambda n: (f"{n / 10}", "setosa"))),
    Shape("a year only", "cars.csv", _csv("name,year,mpg", lambda n: (f"car{n}", 1970 + n % 12, n))),
    Shape("a date in a few rows only", "loans.csv", _csv(
        "id,amount,closed_at", lambda n: (n, n * 10, _day(n).date() if n % 3 == 0 else ""))),
    Shape("NA in numbers (R)", "airquality.csv", _csv(
        "id,Date,Ozone,Wind", lambda n: (n, _day(n).date(), "NA" if n % 7 == 0 else n, f"{n}.5")), "date"),
    Shape("NA in the time", "visits.csv", _csv(
        "id,d,v", lambda n: (n, "NA" if n == 9 else _day(n).date(), n)), "d", quarantined=1),
    Shape("blanks after commas", "ratings.csv", _csv(
        "userId, movieId, Timestamp", lambda n: (n, f" {n * 3}", f" {int(_day(n).timestamp())}")), "timestamp"),
    Shape("a blank for no number (telco)", "telco.csv", _csv(
        "id,seen_at,TotalCharges", lambda n: (n, _day(n).date(), " " if n == 5 else f"{n}.25")), "seen_at"),
    Shape("R's row numbers", "funnel.csv", _csv("seen_at,b", lambda n: (n + 1, _day(n).isoformat(), n * 2)), "seen_at"),
    Shape("a number that customers repeat (online retail)", "retail.csv", _csv(
        "InvoiceNo,InvoiceDate,Quantity", lambda n: (536365 + n // 4, _day(n).isoformat(), n % 9)), "invoice_date"),
    Shape("a decimal comma and semicolons", "umsatz.csv", _csv(
        "Nr,Datum,Betrag", lambda n: (n, f"{_day(n):%d.%m.%Y}", f"1.{n:03},50"), separator=";"), "datum"),
    Shape("windows-1252", "kunden.csv", b"id,seen_at,name\n" + "".join(
        f"{n},{_day(n):%Y-%m-%d},Zoë Müller\n" for n in range(ROWS)).encode("windows-1252"), "seen_at"),
    Shape("a damaged byte in UTF-8", "namen.csv", b"id,seen_at,name\n" + b"".join(
        f"{n},{_day(n):%Y-%m-%d},".encode() + (b"Br\xffken\n" if n == 3 else "Müller\n".encode()) for n in range(ROWS)),
          "seen_at", quarantined=1),
    Shape("UTF-16 of Excel", "unicode.txt", _csv("id,seen_at,v", lambda n: (n, _day(n).date(), n), separator="\t")
          .decode().encode("utf-16"), "seen_at"),
    Shape("a JSON array", "cars.json", json.dumps([
        {**row, "seen_at": _day(int(str(row["id"]))).isoformat()} for row in _random_rows("x", "y")
    ], indent=1).encode(), "seen_at"),
    Shape("objects back to back (CloudTrail)", "trail.json", b"".join(json.dumps(
        {"eventID": f"i{n}", "eventTime": _day(n).isoformat()}).encode() for n in range(ROWS)), "event_time"),
    Shape("CloudTrail's Records", "records.json", json.dumps({"Records": [
        {"eventID": f"i{n}", "eventTime": _day(n).isoformat()} for n in range(ROWS)]}).encode(), "event_time"),
    Shape("Parquet of taxis", "trips.parquet", _parquet(), "tpep_pickup_datetime"),
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
    Shape("a PDF", "report.pdf", b"%PDF-1.4 rest", refused="is a PDF: give the table as CSV."),
    Shape("an empty file", "empty.csv", b"", refused="the sample is empty: give a file with a few rows."),
    Shape("a header only", "header.csv", b"a,b\n",
          refused="the sample has a header but no rows: give a file with a few."),
    Shape("no header", "data.csv", b"1,2026-01-05\n2,2026-01-06\n",
          refused="the first line looks like data ('1'), not like a header: add a first line that names the columns."),
)  # fmt: skip
