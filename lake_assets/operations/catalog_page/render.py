"""The catalog page as HTML: one file with its style and script, and a policy that lets nothing else load or run.

Every value is escaped by the template engine. Contracts, models and payload keys may contain any text.
"""

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, cast

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lake_assets.catalog.silence import in_words
from lake_assets.operations.catalog_page.document import AssetEntry, Day, Document, MartEntry, MetricEntry
from lake_assets.printable import printable

_FOLDER = Path(__file__).parent
_NOT_IN_IDS = re.compile(r"[^A-Za-z0-9_-]")
_LINK = re.compile(r"https?://", re.IGNORECASE)
_CHART = {"width": 360, "height": 64}


def render(document: Document) -> str:
    """Return the page. The same document gives the same page."""
    environment = _environment()
    style, script = (_hash(environment.get_template(name).render()) for name in ("page.css", "page.js"))
    policy = (
        f"default-src 'none'; style-src '{style}'; script-src '{script}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    page = environment.get_template("page.html.j2")
    return page.render(document=document, policy=policy, late=_late(document.assets))


def as_utf8(text: str) -> bytes:
    """Encode a text; a lone surrogate, which UTF-8 lacks, becomes its escape."""
    return text.encode("utf-8", "backslashreplace")


def _hash(text: str) -> str:
    """Return the hash by which a policy allows an inline style or script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = cast(dict[str, Any], environment.filters)  # pyright: ignore[reportUnknownMemberType]
    filters |= {
        "anchor": _anchor, "bars": _bars, "duration": _duration, "is_link": _is_link, "number": _number,
        "time": _time, "words": _words,
    }  # fmt: skip
    return environment


def _visible(value: Any) -> Any:
    """Return a text with its control characters as escapes; the template engine calls this for every value."""
    return printable(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _anchor(name: str, kind: str) -> str:
    """Return an id that is unique for kind and name, and needs no escaping in a link."""
    return f"{kind}-{_NOT_IN_IDS.sub(lambda match: f'.{ord(match[0]):x}.', name)}"


def _is_link(url: str | None) -> bool:
    """Return True for a web address: a `javascript:` one would run."""
    return bool(url and _LINK.match(url))


def _number(number: int) -> str:
    return f"{number:,}"


def _time(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M} UTC"


def _duration(seconds: int) -> str:
    return in_words(timedelta(seconds=seconds))


def _words(entry: AssetEntry | MartEntry | MetricEntry) -> str:
    """Return the texts that the search box looks through, besides the name."""
    return " ".join(dict.fromkeys(filter(None, (part.strip() for part in _searched(entry)))))


def _searched(entry: AssetEntry | MartEntry | MetricEntry) -> Iterable[str]:
    yield from (entry.description, *entry.owners)
    match entry:
        case AssetEntry():
            yield from (entry.domain, entry.status, entry.topic)
            yield from (column.name for column in entry.columns)
            yield from (key for column in entry.columns for key in column.json.keys)
        case MartEntry():
            yield from (column.name for column in entry.columns)
            yield from (board.name for board in entry.boards)
        case MetricEntry():
            yield from (entry.source, entry.topic, *entry.groups, *(measure.name for measure in entry.measures))


def _late(assets: Sequence[AssetEntry]) -> list[AssetEntry]:
    """Return the assets that need attention: late, or with windows that are held back."""
    return [asset for asset in assets if asset.figures and (asset.figures.is_late or asset.figures.held_back)]


def _bars(days: Sequence[Day]) -> list[dict[str, Any]]:
    """Return the bars of a chart in its coordinates, oldest first. A day with rows has a visible bar."""
    most = max((day.rows + day.quarantined for day in days), default=0) or 1
    step = _CHART["width"] / max(len(days), 10)
    bars: list[dict[str, Any]] = []
    for index, day in enumerate(days):
        good, bad = (max(1.0, rows / most * _CHART["height"]) if rows else 0.0 for rows in (day.rows, day.quarantined))
        bars.append({"day": day, "x": f"{index * step:.1f}", "width": f"{step * 0.8:.1f}", "good": f"{good:.1f}",
                     "bad": f"{bad:.1f}", "good_y": f"{_CHART['height'] - good:.1f}",
                     "bad_y": f"{_CHART['height'] - good - bad:.1f}"})  # fmt: skip
    return bars
