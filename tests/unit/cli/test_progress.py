"""Progress: a pace whose estimate converges, few lines without a terminal, a bar with words."""

from __future__ import annotations

import io
import json
import sys

import pytest

from facepipe.cli import progress
from facepipe.cli.options import ProgressKind
from facepipe.cli.progress import Lines, Pace, duration, reporting, resolved
from facepipe.pipeline.passes import Event


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock, which a test sets."""
    clock = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    return clock


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.2, "1 s"), (89, "89 s"), (95, "2 min"), (3600, "60 min"), (7800, "2 h 10 min")],
)
def test_lengths_of_time(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_the_estimate_converges_whatever_was_done_before(now: list[float]) -> None:
    pace, left = Pace(), []
    for second in range(101):
        now[0] = 100.0 + second
        # 400 were kept from an earlier run; then 10 a second, in steps of 20.
        left.append(pace.words(400 + second // 2 * 20, 1400, "frames"))
    assert left[0] == left[1] == ""
    assert left[50] == "10 frames/s, 50 s left"
    assert left[90] == "10 frames/s, 10 s left"


def test_lines_are_few(now: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines()
    for second in range(100):
        now[0] = 100.0 + second
        lines.tell("render", second * 10, 1000, "frames", "7 faces so far")
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 3
    assert said[0] == "render: 10 %, 100 of 1000 frames, 10 frames/s, 2 min left, 7 faces so far"


def test_what_takes_seconds_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with reporting(ProgressKind.lines, quiet=False) as tell:
        assert tell is not None
        tell(Event("analyze", 1, 2, 3))
    assert capsys.readouterr().err == ""


def test_json_has_the_keys_that_it_had(capsys: pytest.CaptureFixture[str]) -> None:
    with reporting(ProgressKind.jsonl, quiet=False) as tell:
        assert tell is not None
        tell(Event("analyze", 1, 2, 3))
    told = json.loads(capsys.readouterr().err)
    assert (told["stage"], told["done"], told["total"]) == ("analyze", 1, 2)


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("colours", [True, False])
def test_a_bar_on_a_terminal(colours: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if not colours:
        monkeypatch.setenv("NO_COLOR", "1")
    assert resolved(ProgressKind.auto, quiet=False) is ProgressKind.bar
    assert resolved(ProgressKind.auto, quiet=True) is ProgressKind.none
    with reporting(ProgressKind.auto, quiet=False) as tell:
        assert tell is not None
        tell(Event("analyze", 0, 40))
        tell(Event("analyze", 40, 40, 12))
    said = terminal.getvalue()
    assert "analyze: 100%" in said
    assert "40 of 40 frames, 12 faces so far" in said
    assert ("\x1b[38;" in said or "\x1b[3" in said) is colours
