"""What lost its workers is a state of its own, which the same command makes whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from facepipe.batch.report import BatchSummary
from facepipe.batch.runner import run_batch
from facepipe.configs.settings import Settings
from facepipe.errors import WorkersLostError
from facepipe.workers.base import Outcome
from facepipe.workers.local import LocalExecutor
from media.portrait_batch import write_batch
from media.portraits import video

SETTINGS = Settings.model_validate({"span_seconds": 0.4, "workers": 1})


class Losing(LocalExecutor):
    """The real executor, of which a task's workers are lost: the first one of a stage."""

    def __init__(self, stage: str) -> None:
        super().__init__(1)
        self.stage = stage

    def map(self, function: Any, tasks: Any, **how: Any) -> Iterator[Outcome[Any]]:
        for outcome in super().map(function, tasks, **how):
            if function.__name__ == self.stage and outcome.number == 0:
                outcome = Outcome(0, None, WorkersLostError("killed"))
            yield outcome


def digests(folder: Path) -> dict[str, bytes]:
    kept = [path for path in folder.rglob("*") if path.suffix in (".mp4", ".jpg")]
    return {path.name: path.read_bytes() for path in kept if ".facepipe" not in str(path.parent)}


def states(summary: BatchSummary) -> dict[str, int]:
    return {state: count.items for state, count in summary.counts.items()}


@pytest.mark.parametrize("stage", ["render_span", "analyze_span", "enhance_stills"])
def test_what_lost_its_workers_is_done_again_by_the_same_command(
    tmp_path: Path, stage: str
) -> None:
    write_batch(tmp_path / "in", videos=0, images=1, frames=0)
    video(tmp_path / "in" / "walk.mp4", frames=50, options={"g": "25"})
    with LocalExecutor(1) as executor:
        run_batch([str(tmp_path / "in")], tmp_path / "whole", SETTINGS, executor)
    expected = digests(tmp_path / "whole")
    out = tmp_path / "out"
    lost = run_batch([str(tmp_path / "in")], out, SETTINGS, Losing(stage))
    assert states(lost) == {"done": 1, "lost": 1}
    assert digests(out).keys() == expected.keys()  # all is there, though not all enhanced
    assert digests(out) != expected
    with LocalExecutor(1) as executor:
        again = run_batch([str(tmp_path / "in")], out, SETTINGS, executor)
    assert (states(again), again.worked_on) == ({"done": 2}, 1)
    assert digests(out) == expected
    assert not list(out.glob(".*.facepipe"))
