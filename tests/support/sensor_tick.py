"""Dagster's sensor loop in a process of its own, for one lake: `-m tests.support.sensor_tick killed|whole`.

`killed` ends it as soon as the first window of a tick is stored, which is before the tick's run and its cursor are.
`whole` goes on until nothing is queued and no run is in progress.
"""

import logging
import os
import signal
import sys

import dagster as dg
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES
from dagster._core.test_utils import create_test_daemon_workspace_context
from dagster._core.workspace.load_target import ModuleTarget
from dagster._daemon.sensor import execute_sensor_iteration

from lake_assets.ledger.ledger import Ledger
from lake_assets.settings import PROJECT, load_settings
from tests.support.conditions import wait_until


def main(killed: bool) -> None:
    if killed:
        genuine = dg.DagsterInstance.report_runless_asset_event

        def report(self: dg.DagsterInstance, event: dg.AssetMaterialization | dg.AssetCheckEvaluation) -> None:
            genuine(self, event)
            # Other sensors report checks.
            if isinstance(event, dg.AssetMaterialization):
                os.kill(os.getpid(), signal.SIGKILL)

        dg.DagsterInstance.report_runless_asset_event = report  # type: ignore[method-assign]
    target = ModuleTarget("lake_assets.definitions", None, str(PROJECT), "lake")
    logger = logging.getLogger("ticking")
    with (
        dg.DagsterInstance.get() as instance,
        create_test_daemon_workspace_context(target, instance) as workspace,
        Ledger(load_settings()) as ledger,
    ):

        def is_done() -> bool:
            list(execute_sensor_iteration(workspace, logger, None, None))
            return not ledger.pending() and not instance.get_runs_count(dg.RunsFilter(statuses=NOT_FINISHED_STATUSES))

        wait_until(is_done)


if __name__ == "__main__":
    main(sys.argv[1] == "killed")
