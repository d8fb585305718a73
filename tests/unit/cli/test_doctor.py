"""What an extra lacks, read from the metadata of packages."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from facepipe.cli.doctor import _missing

NEEDS = {
    "one": [
        "numpy>=1",
        "not-here-at-all; python_version < '2'",
        "base-that-is-missing>=1",
        "typer ; extra == 'whole'",
        "absent-a>=1,<2 ; extra == 'part'",
        "absent-b[x] ; extra == 'part' and sys_platform != 'nothing'",
        "absent-c ; extra == 'part' and sys_platform == 'nothing'",
        'one[part] ; extra == "both"',
        "two[inner,none] ; extra == 'other'",
    ],
    "two": ["absent-d ; extra == 'inner'"],
}


@pytest.fixture(autouse=True)
def _packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, needs in NEEDS.items():
        folder = tmp_path / f"{name}-1.0.dist-info"
        folder.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0"]
        lines += [f"Requires-Dist: {need}" for need in needs]
        (folder / "METADATA").write_text("\n".join(lines) + "\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])


@pytest.mark.parametrize(
    ("extra", "missing"),
    [
        ("whole", set()),
        ("part", {"absent-a", "absent-b"}),
        ("both", {"absent-a", "absent-b"}),
        ("other", {"absent-d"}),
        ("none", set()),
    ],
)
def test_what_an_extra_lacks(extra: str, missing: set[str]) -> None:
    assert _missing("one", extra) == missing
