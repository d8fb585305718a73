"""What workers measure comes back with their results, wherever they run."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from facepipe.datatypes.stages import measured, seconds_so_far, stage
from facepipe.pipeline.stage_report import run_tasks
from facepipe.workers.base import Executor
from facepipe.workers.local import LocalExecutor


def crop_slowly(task: int, progress: Callable[[int], None]) -> int:
    """Work a while, and fail where the task is 13."""
    with stage("crop"):
        sum(range(2_000_000))
    progress(1)
    if task == 13:
        raise RuntimeError("unlucky")
    return task * task


@pytest.fixture(params=[False, True], ids=["here", "in a process of its own"])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    with LocalExecutor(1, isolated=request.param) as made:
        yield made


def test_tasks_are_measured_where_this_context_is(executor: Executor) -> None:
    checked = []
    with measured(on=True):
        outcomes = list(
            run_tasks(
                executor,
                crop_slowly,
                [2, 13],
                progress=lambda _: None,
                check=lambda result, _: checked.append(result),
            )
        )
        seconds = seconds_so_far()
    assert [outcome.result for outcome in outcomes] == [4, None]
    assert "unlucky" in str(outcomes[1].error)
    assert checked == [4]
    assert seconds is not None
    assert seconds["crop"] > 0.005
    assert seconds["waiting"] >= 0


def test_tasks_run_as_they_are_where_nothing_is_measured() -> None:
    with LocalExecutor(1) as executor:
        (outcome,) = run_tasks(executor, crop_slowly, [3], progress=lambda _: None)
    assert outcome.result == 9
    assert seconds_so_far() is None
