"""Pages of the dashboard: one for each board, generated from its description.

A hand-written page is used for a board if the dbt project has a file `boards/NAME.py`. It is a script of Streamlit, and
may use `show_board`, `show_charts` and `reader` of this module.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from html import escape
from itertools import islice
from pathlib import Path
from typing import Any

import pandas  # noqa: F401  Streamlit imports it with the first chart, for which the first reader would wait.
import streamlit as st

from lake_assets.catalog.board import Board, Chart
from lake_assets.compile.board_layout import row_sizes
from lake_assets.compile.board_query import LIMITS, chart_query, newest_query
from lake_assets.dashboard.board_files import BoardFiles
from lake_assets.dashboard.freshness import MART_SECONDS, Freshness, mart_freshness, metric_freshness
from lake_assets.dashboard.reader import NotRead, NotThere, Reader
from lake_assets.dashboard.reader_format import MISSING, ReaderFormat
from lake_assets.dashboard.vega import Rows, chart_data, chart_spec, label
from lake_assets.settings import Settings, load_settings

TITLE = "Dashboard"
LIVE_SECONDS = 1.0
_NEWEST_SECONDS = 30.0
# Readers whose ticks are this close share a query.
_LIVE_FRESH = 0.4
_MENU_ITEMS = 4
_ICON = Path(__file__).with_name("icon.svg").read_text("utf-8")
_STYLE = f"<style>{Path(__file__).with_name('page.css').read_text('utf-8')}</style>"


@dataclass(frozen=True, slots=True)
class _Answer:
    """Rows of a chart and their age, or a sentence for which there are none."""

    rows: Rows
    freshness: Freshness
    problem: str | None = None


@cache
def settings() -> Settings:
    return load_settings()


@cache
def reader() -> Reader:
    """Return the reader of all pages: read-only, as role `analyst`."""
    return Reader(settings())


@cache
def board_files() -> BoardFiles:
    return BoardFiles(settings())


def show() -> None:
    """Show the page of the address, with a menu of all boards."""
    st.set_page_config(page_title=TITLE, page_icon=_ICON, layout="wide")
    st.html(_STYLE)
    boards = board_files().read().boards
    if not boards:
        _show_no_board()
        return
    pages = [
        st.Page(
            board_files().own_page(board.name) or partial(show_board, board.name),
            title=board.label,
            url_path=board.name,
        )
        for board in boards
    ]
    # The default page has no path. So that each board keeps its address, that page only leads to the first one.
    home = st.Page(partial(st.switch_page, pages[0]), title=TITLE, url_path="home", default=True, visibility="hidden")
    st.navigation([home, *pages], position="top" if len(pages) <= _MENU_ITEMS else "sidebar").run()


@st.fragment(run_every=MART_SECONDS)
def _show_no_board() -> None:
    if board_files().read().boards:
        st.rerun()
    st.title("No board yet")
    st.write(
        "A board is an exposure of the dbt project whose mart has charts, as `docs/dashboards.md` describes. It is "
        "here as soon as the lake has read the project, which it does a few seconds after its start."
    )


def show_board(name: str) -> None:
    """Show a board's heading and all of its charts."""
    board = _board(name)
    if board is None:
        st.warning(f"There is no board '{name}' any more: choose another one.")
        return
    st.title(board.label, anchor=False)
    st.markdown(f"{board.description} Owner: {board.owner}." if board.owner else board.description)
    _show_problems(name)
    if any(chart.is_live for chart in board.charts):
        _show_live(name)
    _show_marts(name)


def _board(name: str) -> Board | None:
    return next((board for board in board_files().read().boards if board.name == name), None)


def _reader_format() -> ReaderFormat:
    return ReaderFormat.of(st.context.locale, st.context.timezone)


@st.fragment(run_every=MART_SECONDS)
def _show_problems(name: str) -> None:
    board = _board(name)
    for problem in board.problems if board else ():
        st.warning(f"A chart is left out: {problem}", icon=":material/error:")


@st.fragment(run_every=LIVE_SECONDS)
def _show_live(name: str) -> None:
    if board := _board(name):
        st.subheader("Now", anchor=False)
        show_charts([chart for chart in board.charts if chart.is_live], f"{name}-live")


@st.fragment(run_every=MART_SECONDS)
def _show_marts(name: str) -> None:
    if board := _board(name):
        if any(chart.is_live for chart in board.charts):
            st.subheader("Up to the last build", anchor=False)
        show_charts([chart for chart in board.charts if not chart.is_live], f"{name}-marts")


def show_charts(charts: Sequence[Chart], key: str) -> None:
    """Show charts in their order: numbers in rows of four, tables in full width, others in pairs.

    `key` distinguishes the calls of one page.
    """
    answers = [_answer(chart) for chart in charts]
    problems = {answer.problem for answer in answers}
    if len(charts) > 1 and len(problems) == 1 and (problem := problems.pop()):
        # One cause, such as a database that is down, is one sentence.
        st.info(problem, icon=":material/info:")
        return
    form = _reader_format()
    shown = iter(zip(charts, answers, strict=True))
    for number, size in enumerate(row_sizes([chart.kind for chart in charts])):
        columns = st.columns(size, gap="medium") if size > 1 else [st.container()]
        for place, (column, (chart, answer)) in enumerate(zip(columns, islice(shown, size), strict=True)):
            with column, st.container(border=True, height="stretch", key=f"{key}-{number}-{place}"):
                _show_chart(chart, answer, form)


def _answer(chart: Chart) -> _Answer:
    now, fresh = datetime.now(UTC), _LIVE_FRESH if chart.is_live else MART_SECONDS
    freshness = Freshness(None)
    try:
        if chart.is_live:
            freshness = metric_freshness(settings(), chart.table, now)
        else:
            freshness = mart_freshness(settings(), reader(), chart.table, now, _reader_format().duration)
        rows = reader().rows(chart_query(chart), fresh)
        if not rows or (chart.kind == "number" and rows[0][0] is None):
            return _Answer((), freshness, _no_rows(chart))
        return _Answer(rows, freshness)
    except NotThere as problem:
        sentence = "The metric has no table yet: run `lake apply`." if chart.is_live else str(problem)
        return _Answer((), freshness, sentence)
    except NotRead as problem:
        return _Answer((), freshness, str(problem))


def _no_rows(chart: Chart) -> str:
    """Return the reason that a chart is empty. Raises NotRead."""
    query, form = newest_query(chart), _reader_format()
    if chart.filters:
        return "No rows match the filter of this chart."
    if query is None or chart.last is None:
        return "No rows yet: they appear here when the first events have arrived."
    [(newest,)] = reader().rows(query, _NEWEST_SECONDS)
    if newest is None:
        return "No rows yet: they appear here when the first events have arrived."
    period = form.duration(chart.last)
    return f"No rows of the last {period}. The newest is of {form.cell(newest)} UTC."


def _show_chart(chart: Chart, answer: _Answer, form: ReaderFormat) -> None:
    if chart.kind == "number":
        value = form.number(answer.rows[0][0], chart.unit) if answer.rows else MISSING
        st.metric(chart.title, value, help=_description(chart))
    else:
        st.markdown(f"#### {escape(chart.title)}")
    if answer.problem:
        st.caption(answer.problem)
    elif chart.kind == "table":
        st.html(_html_table(chart, answer.rows[: LIMITS["table"]], form))
    elif chart.kind != "number":
        rows = answer.rows[: LIMITS[chart.kind]]
        st.vega_lite_chart(
            chart_data(chart, rows),
            chart_spec(chart, rows, form),
            width="stretch",
            alt=f"{chart.title}, as a {chart.kind} chart. The table below has its numbers.",
        )
        with st.expander("Numbers"):
            st.html(_html_table(chart, rows[: LIMITS["table"]], form))
    if chart.kind != "number" and len(answer.rows) > LIMITS[chart.kind]:
        st.caption(f"Only the first {LIMITS[chart.kind]} are shown: narrow the chart by a filter.")
    _show_freshness(answer.freshness, form)


def _show_freshness(freshness: Freshness, form: ReaderFormat) -> None:
    if freshness.as_of is not None:
        age = datetime.now(UTC) - freshness.as_of
        if freshness.is_live:
            text = f"As of {form.moment(freshness.as_of)}"
        else:
            text = f"As of {form.moment(freshness.as_of)}, {form.duration(max(age, timedelta(seconds=1)))} ago"
        st.caption(f"{text}, live" if freshness.is_live and not freshness.problem else text)
    if freshness.problem:
        st.caption(f":orange[:material/warning:] {freshness.problem}")


def _description(chart: Chart) -> str | None:
    return chart.table.columns[chart.y[0].column].description or None


def _html_table(chart: Chart, rows: Rows, form: ReaderFormat) -> str:
    keys = [column for column in (chart.x, chart.color) if column]
    head = "".join(f'<th scope="col">{escape(label(key))}</th>' for key in keys)
    head += "".join(f'<th scope="col" class="number">{escape(label(value.name))}</th>' for value in chart.y)
    body = "".join(f"<tr>{_html_row(chart, row, len(keys), form)}</tr>" for row in rows)
    caption = f"<caption>{escape(chart.title)}</caption>"
    return f'<div class="lake-table"><table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _html_row(chart: Chart, row: tuple[Any, ...], keys: int, form: ReaderFormat) -> str:
    cells = "".join(f"<td>{escape(form.cell(value))}</td>" for value in row[:keys])
    return cells + "".join(f'<td class="number">{escape(form.number(value, chart.unit))}</td>' for value in row[keys:])
