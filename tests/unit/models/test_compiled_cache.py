"""Compiled networks are kept, used where they are whole, and never needed."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from facepipe.models.compiled_cache import MOST, cache_folder
from facepipe.models.registry import find_model
from facepipe.models.runtime import OpenVinoRunner

pytest.importorskip("openvino", reason="OpenVINO is not installed")
FACE = np.random.default_rng(0).random((1, 10, 128, 128), np.float32)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FACEPIPE_CACHE", str(tmp_path / "kept"))
    return tmp_path / "kept"


def restored(mark: str = "some weights") -> np.ndarray:
    graph = find_model("fishsrnet").paths[1]
    return OpenVinoRunner(graph, threads=1, weights_mark=mark)(FACE)[0]


def test_a_kept_network_restores_the_same_and_damage_to_it_harms_nobody(folder: Path) -> None:
    first = restored()
    (kept,) = folder.iterdir()
    whole = kept.read_bytes()
    np.testing.assert_array_equal(restored(), first)
    for damaged in (b"", whole[:9000], whole[:-1] + bytes([whole[-1] ^ 1])):
        kept.write_bytes(damaged)
        np.testing.assert_array_equal(restored(), first)
        made_anew = kept.read_bytes()
        assert hashlib.sha256(made_anew[32:]).digest() == made_anew[:32]


def test_other_weights_are_kept_beside_and_the_oldest_go(folder: Path) -> None:
    for number in range(MOST + 1):
        restored(f"weights {number}")
        assert len(list(folder.iterdir())) == min(number + 1, MOST)


def test_nothing_is_kept_where_nothing_shall_be_or_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("FACEPIPE_CACHE", "")
    assert cache_folder() is None
    first = restored()
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("FACEPIPE_CACHE", str(tmp_path / "file"))
    np.testing.assert_array_equal(restored(), first)
    assert [one.name for one in tmp_path.iterdir()] == ["file"]
    monkeypatch.delenv("FACEPIPE_CACHE")
    if sys.platform == "linux":
        assert cache_folder() == tmp_path / "facepipe"


@pytest.mark.skipif(os.name != "posix", reason="this machine has no modes of folders")
def test_a_folder_that_others_can_write_to_is_not_used(folder: Path) -> None:
    first = restored()
    (kept,) = folder.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    content = b"another network"
    kept.write_bytes(hashlib.sha256(content).digest() + content)
    np.testing.assert_array_equal(restored(), first)
    assert kept.read_bytes().endswith(content)
