"""Locks, also where the file system knows none."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from facepipe._system.locks import HELD, HeldError, exclusive, knows_locks, locked_folder
from facepipe.errors import OutputError
from media import lacking_system

lacking = pytest.mark.skipif(lacking_system.LACKS is not None, reason=str(lacking_system.LACKS))

HOLD = """
import os, sys
from pathlib import Path
from facepipe._system.locks import exclusive
with exclusive(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
    if len(sys.argv) > 2:
        os._exit(9)
"""
TRY = """
import sys
from pathlib import Path
from facepipe._system.locks import HeldError, exclusive
try:
    with exclusive(Path(sys.argv[1])):
        print("free")
except HeldError as error:
    print(error)
"""


def test_one_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    for _ in range(2):
        with exclusive(path), pytest.raises(HeldError), exclusive(path):
            pass
    assert knows_locks(tmp_path)
    # Some versions of filelock delete the file where the lock is freed, others leave it.
    assert {one.name for one in tmp_path.iterdir()} <= {"lock"}


@pytest.mark.parametrize("what", ["", pytest.param("locks", marks=lacking)])
@pytest.mark.parametrize("killed", [False, True])
def test_a_lock_is_held_and_freed_by_a_kill(what: str, killed: bool, tmp_path: Path) -> None:
    path = tmp_path / "lock"
    given = lacking_system.environment(what, tmp_path) if what else dict(os.environ)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path), *(["killed"] if killed else [])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=given,
    )

    def tried() -> str:
        call = [sys.executable, "-c", TRY, str(path)]
        return subprocess.run(call, env=given, capture_output=True, text=True, check=True).stdout

    assert holder.stdout is not None
    assert holder.stdin is not None
    assert holder.stdout.readline() == "held\n"
    told = tried()
    assert ("holds it" in told) == bool(what) or "another process" in told
    assert f"process {holder.pid} on {socket.gethostname()}" in told or not what
    holder.stdin.close()
    assert holder.wait() == (9 if killed else 0)
    holder.stdout.close()
    assert tried() == "free\n"
    assert not path.with_name(f"lock{HELD}").exists()


@lacking
def test_a_holder_on_another_machine_is_believed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    mark = path.with_name(f"lock{HELD}")
    mark.write_text(f"{os.getpid()} 1.0 elsewhere")
    call = [sys.executable, "-c", TRY, str(path)]
    given = lacking_system.environment("locks", tmp_path)
    told = subprocess.run(call, env=given, capture_output=True, text=True, check=True).stdout
    assert f"process {os.getpid()} on elsewhere holds it; delete that file" in told
    assert mark.exists()
    # The same number with another beginning is another process.
    mark.write_text(f"{os.getpid()} {psutil.Process().create_time() - 99} {socket.gethostname()}")
    told = subprocess.run(call, env=given, capture_output=True, text=True, check=True).stdout
    assert told == "free\n"


def test_a_working_folder_is_locked_for_one(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    with locked_folder(folder, "busy") as lock:
        assert lock.is_file()
        assert lock.parent == folder
        with pytest.raises(OutputError, match=r"^busy \(another process holds it\)$"):
            locked_folder(folder, "busy").__enter__()
    with locked_folder(folder, "busy"):
        pass


def test_the_folders_above_are_made_if_asked(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    with pytest.raises(OutputError, match="b: cannot write there"), locked_folder(folder, "busy"):
        pass
    with locked_folder(folder, "busy", parents=True):
        assert folder.is_dir()
