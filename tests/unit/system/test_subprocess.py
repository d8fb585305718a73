"""Processes that may crash or hang: what they reported before arrives, nothing waits for ever."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from facepipe._system.subprocess import reported_lines

MODULES = {
    "whole": "report_line('one')\nprint('a driver', end='')\nreport_line('two, é')",
    "crashing": "report_line('one')\nimport os\nos.abort()",
    "hanging": "report_line('one')\nimport time\ntime.sleep(600)",
    "silent": "import time\ntime.sleep(600)",
    "raising": "raise RuntimeError('no')",
    "waiting": "import sys\nreport_line(sys.argv[1])\nimport time\ntime.sleep(600)",
}


@pytest.fixture(autouse=True)
def _modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, body in MODULES.items():
        imports = "from facepipe._system.subprocess import report_line\n"
        (tmp_path / f"{name}.py").write_text(f"{imports}{body}\n")
    given = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(tmp_path), given])))


@pytest.mark.parametrize(
    ("module", "lines"),
    [("whole", ["one", "two, é"]), ("crashing", ["one"]), ("raising", [])],
)
def test_what_was_reported_arrives(module: str, lines: list[str]) -> None:
    assert list(reported_lines(module, (), patience=60)) == lines


def test_a_silent_process_is_ended() -> None:
    before = set(psutil.Process().children())
    lines = reported_lines("hanging", (), patience=20)
    assert next(lines) == "one"
    (child,) = set(psutil.Process().children()) - before
    lines.close()
    assert not child.is_running()


def test_patience_ends() -> None:
    assert list(reported_lines("silent", (), patience=0.5)) == []


PATIENT = """
import sys
from facepipe._system.subprocess import reported_lines
print(list(reported_lines("slow", [sys.argv[1]], patience=2.0)), flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="this machine suspends no processes")
def test_a_suspended_process_loses_no_patience(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(
        "import sys, time\nfrom pathlib import Path\n"
        "from facepipe._system.subprocess import report_line\n"
        "mark = Path(sys.argv[1])\nmark.touch()\n"
        "report_line('one')\nwhile not mark.with_name('end').exists():\n    time.sleep(0.05)\n"
        "report_line('two')\n"
    )
    mark = tmp_path / "begun"
    process = subprocess.Popen(
        [sys.executable, "-c", PATIENT, str(mark)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not mark.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGSTOP)
    time.sleep(2.5)
    os.killpg(process.pid, signal.SIGCONT)
    time.sleep(0.1)
    (tmp_path / "end").touch()
    shown, _ = process.communicate(timeout=60)
    assert shown == "['one', 'two']\n"


def test_arguments_arrive() -> None:
    lines = reported_lines("waiting", ["a word"], patience=60)
    assert next(lines) == "a word"
    lines.close()
