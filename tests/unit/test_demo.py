"""The demo's last line is a command that works when it is typed as it stands."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import pytest

DEMO = Path(__file__).parents[2] / "examples" / "demo.py"
SCRIPTS, NAME = ("Scripts", "facepipe.exe") if os.name == "nt" else ("bin", "facepipe")


@pytest.fixture(scope="module")
def demo() -> ModuleType:
    spec = importlib.util.spec_from_file_location("demo", DEMO)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """A Python in whose folder there is a command facepipe."""
    folder = tmp_path / ".venv" / SCRIPTS
    folder.mkdir(parents=True)
    (folder / NAME).touch(mode=0o755)
    return folder / "python"


def test_the_command_is_relative_to_where_the_user_stands(
    demo: ModuleType, python: Path, tmp_path: Path
) -> None:
    assert demo.typed_command(python, tmp_path) == str(Path(".venv", SCRIPTS, "facepipe"))
    elsewhere = tmp_path / "videos"
    assert demo.typed_command(python, elsewhere) == str(python.with_name("facepipe"))


def test_a_command_on_the_path_is_its_name(
    demo: ModuleType, python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(python.parent))
    assert demo.typed_command(python, tmp_path) == "facepipe"


def test_without_a_command_python_runs_the_module(demo: ModuleType, tmp_path: Path) -> None:
    python = tmp_path / "python"
    assert demo.typed_command(python, tmp_path) == f"{python} -m facepipe"
