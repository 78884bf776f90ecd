"""Chart of a board -> data and specification of Vega-Lite. Colors and fonts are those of the page's theme."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa

from lake_assets.catalog.board import Chart
from lake_assets.dashboard.reader_format import MISSING, ReaderFormat

Rows = Sequence[tuple[Any, ...]]
_BAR, _GAP, _MARGIN = 18, 12, 110
_HEIGHT = 300
_TICKS = 10
_WITH_POINTS = 62


def chart_data(chart: Chart, rows: Rows) -> pa.Table:
    """Return the rows as columns `x`, `y` and `series`, one row for each number."""
    x: list[Any] = []
    y: list[float | None] = []
    series: list[str] = []
    for row in rows:
        numbers = row[len(row) - len(chart.y) :]
        for value, number in zip(chart.y, numbers, strict=True):
            x.append(row[0] if _is_time(chart) else _text(row[0]))
            y.append(None if number is None else float(number))
            series.append(_text(row[1]) if chart.color else label(value.name))
    times = [_moment(value) for value in x] if _is_time(chart) else x
    kind = pa.timestamp("ms", tz="UTC") if _is_time(chart) else pa.string()
    return pa.table(
        {"x": pa.array(times, kind), "y": pa.array(y, pa.float64()), "series": pa.array(series, pa.string())}
    )


def chart_spec(chart: Chart, rows: Rows, form: ReaderFormat) -> dict[str, Any]:
    """Return the specification; it changes only with the categories, so that numbers move without a blink."""
    by_time = chart.kind == "line" or _is_time(chart)
    encoding = _by_time(chart, rows, form) if by_time else _by_category(chart)
    if _has_series(chart):
        legend = {"orient": "bottom", "offset": 12, "padding": 0, "columns": 3, "labelLimit": 110}
        encoding["color"] = {"field": "series", "type": "nominal", "sort": None, "title": None, "legend": legend}
    encoding["tooltip"] = _tooltip(chart, form)
    mark: dict[str, Any] = {"type": "bar", "cornerRadiusEnd": 3}
    if chart.kind == "line":
        mark = {"type": "line", "strokeWidth": 2.5, "point": len(rows) <= _WITH_POINTS}
    height = _HEIGHT if by_time else max(_HEIGHT, _bars_height(chart, rows))
    # At the right the last label of an axis has its second half.
    frame = {"height": height, "padding": {"left": 0, "top": 4, "right": 20, "bottom": 0}}
    return {"mark": mark, **frame, "encoding": encoding, "config": {"locale": form.vega_locale}}


def _by_time(chart: Chart, rows: Rows, form: ReaderFormat) -> dict[str, Any]:
    """Return the channels of a chart from left to right."""
    x: dict[str, Any] = {"field": "x", "title": None, "axis": {"grid": False, "labelOverlap": True, "labelFlush": True}}
    if _is_time(chart):
        x |= {"type": "temporal", "scale": {"type": "utc"}}
        x["axis"] |= _time_axis(chart, rows, form)
    else:
        x |= {"type": "ordinal", "sort": None}
    return {"x": x, "y": _number(chart)}


def _by_category(chart: Chart) -> dict[str, Any]:
    """Return the channels of a chart with a bar for each category, whose names stay readable on a phone."""
    axis = {"labelLimit": 140, "ticks": False, "domain": False}
    scale = {"paddingInner": 0.35, "paddingOuter": 0.2}
    y = {"field": "x", "type": "nominal", "sort": None, "title": None, "axis": axis, "scale": scale}
    offset = {"yOffset": {"field": "series", "sort": None}} if _has_series(chart) else {}
    return {"y": y, "x": _number(chart), **offset}


def _number(chart: Chart) -> dict[str, Any]:
    axis = {"format": ".2~%" if chart.unit == "%" else ",~f", "tickCount": 5, "labelOverlap": True}
    return {"field": "y", "type": "quantitative", "title": number_title(chart), "axis": axis}


def _tooltip(chart: Chart, form: ReaderFormat) -> list[dict[str, Any]]:
    x_title = label(chart.x or "") + (" (UTC)" if _is_time(chart) else "")
    x: dict[str, Any] = {"field": "x", "title": x_title, "type": "nominal"}
    if _is_time(chart):
        day_and_clock = f"%-d %b %Y {form.clock}" if _is_short(chart) else "%-d %b %Y"
        x |= {"type": "temporal", "timeUnit": "utcyearmonthdatehoursminutes", "format": day_and_clock}
    series = [{"field": "series", "title": label(chart.color or "of")}] if _has_series(chart) else []
    number = ".1%" if chart.unit == "%" else ",.2~f"
    return [x, *series, {"field": "y", "title": number_title(chart) or "number", "format": number}]


def _time_axis(chart: Chart, rows: Rows, form: ReaderFormat) -> dict[str, Any]:
    if _is_short(chart):
        return {"format": form.clock}
    moments = {moment for row in rows if (moment := _moment(row[0]))}
    if all(moment.day == 1 for moment in moments):
        return {"format": "%b %Y", "tickCount": {"interval": "month", "step": 1}}
    span = max(moments) - min(moments)
    # With fewer days than Vega wants ticks, it would repeat each day's name.
    ticks = {"tickCount": {"interval": "day", "step": 1}} if span < timedelta(days=_TICKS) else {}
    return {"format": "%-d %b" if span < timedelta(days=360) else "%-d %b %Y", **ticks}


def _bars_height(chart: Chart, rows: Rows) -> int:
    categories = len({row[0] for row in rows})
    bars = len({row[1] for row in rows}) if chart.color else len(chart.y)
    return categories * (bars * _BAR + _GAP) + _MARGIN


def _has_series(chart: Chart) -> bool:
    return len(chart.y) > 1 or chart.color is not None


def _is_short(chart: Chart) -> bool:
    """Return whether the chart shows hours, not days."""
    return chart.last is not None and chart.last <= timedelta(days=1)


def number_title(chart: Chart) -> str:
    """Return the title of the numbers' axis, with their unit."""
    names = label(chart.y[0].name) if len(chart.y) == 1 else ""
    return f"{names} ({chart.unit})".strip() if chart.unit else names


def label(name: str) -> str:
    """Return a column's name in words."""
    return name.replace("_", " ")


def _is_time(chart: Chart) -> bool:
    return chart.x is not None and chart.table.columns[chart.x].kind == "time"


def _text(value: Any) -> str:
    return MISSING if value is None else str(value)


def _moment(value: Any) -> datetime | None:
    """Return a time in UTC. Days are those of the lake, which begin at midnight UTC."""
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    return datetime(value.year, value.month, value.day, tzinfo=UTC) if isinstance(value, date) else None
