"""`facepipe doctor` as a user meets it: what works here, and the code of what does not."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from facepipe.models.registry import WEIGHTS_VARIABLE

DOCTOR = [sys.executable, "-m", "facepipe", "doctor"]


def test_the_table_has_every_section() -> None:
    done = subprocess.run(DOCTOR, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    gaps = "not here, and what brings it:"
    sections = [line for line in done.stdout.splitlines() if not line.startswith(" ")]
    assert sections == [
        "verdict: videos and photographs can be enhanced here",
        *([gaps] if gaps in done.stdout else []),
        "system:", "encoders:", "hardware decoders:", "networks:", "weights:", "extras:"
    ]  # fmt: skip
    assert "yes libx264 " in done.stdout


def test_as_json_and_true() -> None:
    done = subprocess.run([*DOCTOR, "--json"], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert (found["code"], found["reason"]) == (0, None)
    rows = {(row["section"], row["name"]): row for row in found["rows"]}
    assert rows["system", "Python"]["detail"].startswith(sys.version.split()[0])
    assert rows["encoders", "ffv1"]["works"]
    assert rows["networks", "restorer"]["detail"].startswith("fishsrnet by ")
    assert rows["weights", "fishsrnet"]["works"]
    assert rows["extras", "test"]["works"]


@pytest.mark.parametrize(
    ("file", "reasons"),
    [
        ("fishsrnet.safetensors", ["restorer", "fishsrnet", "parsingnet"]),
        ("fishsrnet.onnx", ["restorer", "fishsrnet"]),
        ("fishsrnet-parse.onnx", ["parsingnet"]),
    ],
)
def test_damaged_weights_are_the_reason(
    file: str, reasons: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(str(files("facepipe.models").joinpath("weights", file)), tmp_path)
    with (tmp_path / file).open("r+b") as weights:
        weights.seek(1000)
        weights.write(b"damage")
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(tmp_path))
    done = subprocess.run([*DOCTOR, "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 5
    told = done.stderr.splitlines()
    assert all("damaged or another version" in line for line in (told[0], told[-1]))
    assert told[0].startswith("verdict: nothing can be enhanced here: ")
    found = json.loads(done.stdout)
    assert found["code"] == 5
    broken = [row["name"] for row in found["rows"] if row["code"]]
    assert broken == reasons
    assert "libx264" in [row["name"] for row in found["rows"] if row["works"]]


def test_no_place_for_temporary_files_is_told(tmp_path: Path) -> None:
    code = (
        f"import tempfile, sys\ntempfile.tempdir = {str(tmp_path / 'gone')!r}\n"
        "sys.argv = ['facepipe', 'doctor']\nfrom facepipe.cli.main import main\nmain()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr  # a run writes beside its target alone
    remedy, row = [line for line in done.stdout.splitlines() if "temporary files" in line]
    assert "TMPDIR" in remedy
    assert row.startswith("  no ")
    assert row.endswith("cannot be written (No such file or directory)")


def test_a_run_refuses_an_encoder_that_does_not_work(portrait_video: Path, tmp_path: Path) -> None:
    found = json.loads(subprocess.run([*DOCTOR, "--json"], capture_output=True, check=True).stdout)
    encoders = [row for row in found["rows"] if row["section"] == "encoders"]
    broken = next(r for r in encoders if r["name"].startswith("h264_") and not r["works"])
    command = [*DOCTOR[:-1], "run", str(portrait_video), "-o", str(tmp_path / "out.mp4")]
    done = subprocess.run(
        [*command, "--codec", broken["name"]], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert broken["name"] in line
    assert "libx264" in line
    assert list(tmp_path.iterdir()) == []
