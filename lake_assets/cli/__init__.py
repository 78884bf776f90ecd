"""`lake`: one file per command, imported only when that command runs, so that `lake --help` stays fast."""

import gc
import importlib
import os
import sys
from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING, NoReturn

import click

from lake_assets.errors import LakeError
from lake_assets.local_files import UMASK
from lake_assets.printable import printable

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# name: (module, one-line help). The help is here so that listing the commands imports none of them.
COMMANDS: dict[str, tuple[str, str]] = {
    "up": ("up", "Start the embedded stack and wait until every part is healthy."),
    "down": ("down", "Stop the embedded stack of this lake."),
    "status": ("status", "Show each part's health, last error and backlog."),
    "doctor": ("doctor", "Check this machine: Java, ports, disk, memory, versions, permissions, clocks."),
    "open": ("open", "Open a page of the lake in the browser."),
    "demo": ("demo", "Send events to the example assets and follow them into the marts."),
    "new": ("new", "Infer a contract for a new asset from a sample file."),
    "new-mart": ("new_mart", "Write the SQL and the YAML of a new mart, from the contracts."),
    "preview": ("preview", "Show rows of a model in the working tree, computed from real rows."),
    "diff": ("diff", "Compare a mart in the working tree with the shared one, on real rows."),
    "plan": ("plan", "Show what `lake apply` would change, and change nothing."),
    "apply": ("apply", "Make topics, tables, connectors, sources and grants match the contracts."),
    "produce": ("produce", "Send files into an asset's topic."),
    "run": ("run", "Build staging tables and marts from everything landed so far, once."),
    "audit": ("audit", "Prove that nothing was lost or doubled, or report the gap."),
    "why": ("why", "Explain the state of a window, and where its rows came from."),
    "cost": ("cost", "Estimate what assets cost in a month, also with other settings."),
    "quarantine": ("quarantine", "Show quarantined rows by reason, with samples."),
    "replay": ("replay", "Conform quarantined events again after a fix, and publish those that pass."),
    "backfill": ("backfill", "Rebuild windows from raw in batches, or undo a rebuild."),
    "maintain": ("maintain", "Run housekeeping, and delete expired windows in two steps."),
    "forget": ("forget", "Erase a person's events everywhere, in two steps, and keep a receipt."),
    "remove": ("remove", "Remove an asset from the lake, in two steps, with all or part of its data."),
    "docs": ("docs", "Build the catalog page for analysts, or open it."),
    "bi": ("bi", "Bring the boards into a BI tool."),
    "analyst": ("analyst", "Give an analyst a login of their own, or remove it."),
    "sql": ("sql", "Run one query, as the engineer or as an analyst."),
    "completion": ("completion", "Print the completion script of a shell."),
}

_CONNECTION_ERRORS = frozenset(product(("psycopg", "psycopg2", "sqlalchemy"), ("OperationalError", "InterfaceError")))


class LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"lake_assets.cli.{COMMANDS[cmd_name][0]}")
        return module.command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        """Complete names of commands without importing any, and options."""
        from click.shell_completion import CompletionItem

        items = [CompletionItem(name, help=text) for name, (_, text) in COMMANDS.items() if name.startswith(incomplete)]
        return [*items, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def lake() -> None:
    """A data lake from Kafka to data marts: an asset is one contract, and an audit proves that no event is lost.

    A first session: `lake up`, `lake new NAME --from FILE`, `lake apply`, `lake produce NAME FILE`, `lake run`,
    `lake audit`. LAKE_HOME is the folder that holds all state (default .lake). LAKE_CATALOG is the folder of contracts.

    Exit codes: 0 success, 1 a finding (audit out of balance, failed check), 2 invalid input, 3 a part is not running.
    """


def main(args: Sequence[str] | None = None) -> None:
    """Run a command. A LakeError becomes one line on stderr and its exit code."""
    # Most objects of a command are modules, which stay: garbage collection among them takes an eighth of its time.
    gc.set_threshold(50_000)
    arguments = list(sys.argv[1:] if args is None else args)
    if arguments[:1] not in (["new"], ["new-mart"]):  # their files are the project's, not the lake's
        os.umask(UMASK)
    try:
        lake.main(args=arguments, standalone_mode=True)
    except LakeError as error:
        _end(error)
    except Exception as error:
        lost = _lost_postgres(error)
        if lost is None:
            raise
        from lake_assets.settings import load_settings

        _end(load_settings().postgres.not_reached(lost))


def _end(error: LakeError) -> NoReturn:
    click.echo(f"lake: {printable(str(error))}", err=True)
    sys.exit(error.exit_code)


def _lost_postgres(error: BaseException) -> Exception | None:
    """Return the driver's error when a Postgres session ended during a command, Dagster's sessions included.

    Compares the names of classes, because most commands load none of the drivers.
    """
    link: BaseException | None = error
    while link is not None:
        kinds = {(kind.__module__.partition(".")[0], kind.__name__) for kind in type(link).__mro__}
        if isinstance(link, Exception) and not kinds.isdisjoint(_CONNECTION_ERRORS):
            return link
        link = link.__cause__ or link.__context__
    return None
