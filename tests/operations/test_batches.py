from collections.abc import Sequence

from lake_assets.catalog.failure import Cause
from lake_assets.catalog.window_results import WindowInput
from lake_assets.conform.isolate import SAMPLE
from lake_assets.operations.refresh.batches import BATCH_ROWS, BATCH_WINDOWS, BatchQueue, batches

NAMES = [f"2026-02-{day:02d}" for day in range(1, 11)]
REFUSED = Cause("the table refuses it.")


def windows(*rows: int) -> list[WindowInput]:
    return [WindowInput(name, (), count, 0) for name, count in zip(NAMES, rows, strict=False)]


def queue(
    probes: tuple[str, ...] = (),
    suspects: Sequence[str] = (),
    without_raw: tuple[str, ...] = (),
    on_duckdb: bool = True,
) -> BatchQueue:
    return BatchQueue(windows(*[1] * 10), list(probes), suspects, without_raw, on_duckdb)


def order(waiting: BatchQueue) -> list[list[str]]:
    taken: list[list[str]] = []
    while batch := waiting.take():
        taken.append([window.window for window in batch])
    return taken


def test_probes_come_first_and_suspects_and_windows_without_raw_last_alone() -> None:
    waiting = queue(probes=(NAMES[4],), suspects=(NAMES[0], NAMES[3]), without_raw=(NAMES[1], NAMES[2]))
    assert order(waiting) == [[NAMES[4]], NAMES[5:], [NAMES[0]], [NAMES[3]], [NAMES[1]], [NAMES[2]]]


def test_spark_builds_suspects_with_the_others_in_one_batch() -> None:
    waiting = queue(suspects=(NAMES[0],), without_raw=(NAMES[1],), on_duckdb=False)
    assert order(waiting) == [[NAMES[0], *NAMES[2:]], [NAMES[1]]]


def test_batch_ends_before_too_many_rows_and_at_the_limit_of_windows() -> None:
    half = BATCH_ROWS // 2
    assert [len(batch) for batch in batches(windows(half, half, 1, BATCH_ROWS + 1, 1))] == [2, 1, 1, 1]
    many = [WindowInput(str(number), (), 1, 0) for number in range(BATCH_WINDOWS + 1)]
    assert [len(batch) for batch in batches(many)] == [BATCH_WINDOWS, 1]


def test_cause_is_shared_when_all_probes_failed_with_it() -> None:
    waiting = queue(probes=(NAMES[0], NAMES[1]))
    assert waiting.shared_cause(waiting.take(), {}, {NAMES[0]: REFUSED}) is None
    assert waiting.shared_cause(waiting.take(), {}, dict.fromkeys(NAMES[:2], REFUSED)) == REFUSED


def test_probe_that_succeeds_lets_the_others_be_built_together() -> None:
    waiting = queue(probes=(NAMES[0],))
    assert waiting.shared_cause(waiting.take(), {}, {}) is None
    assert order(waiting) == [NAMES[1:]]


def test_batch_that_fails_alike_chooses_probes_once() -> None:
    waiting = queue(suspects=NAMES[SAMPLE + 1 :])
    batch = waiting.take()
    failed = {window.window: REFUSED for window in batch}
    assert waiting.shared_cause(batch, failed, failed) is None
    assert len(waiting.probes) == SAMPLE
    for _ in range(SAMPLE):
        waiting.shared_cause(waiting.take(), {}, {})
    waiting.shared_cause(batch, failed, failed)
    assert waiting.probes == []
