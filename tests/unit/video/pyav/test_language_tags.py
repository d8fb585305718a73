"""Languages by BCP 47 in mp4 and mov."""

from __future__ import annotations

from pathlib import Path

import pytest

from facepipe.video.pyav.copied_boxes import copy_private_boxes
from facepipe.video.pyav.language_tags import box_language_tags, with_language_tag
from facepipe.video.pyav.private_boxes import PrivateBoxes
from media import synthetic
from media.samples import language_tags
from media.video_checks import packets


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_what_is_put_is_read(suffix: str, tmp_path: Path) -> None:
    path = synthetic.video(tmp_path / f"a{suffix}", frames=4, audio=2)
    before = packets(path)
    with path.open("rb") as given:
        tracks = [(1, "pt-BR"), (2, None), (3, "zh-Hans")]
        copy_private_boxes(PrivateBoxes(), given, path, tracks)
    assert packets(path) == before
    assert language_tags(path) == ["pt-BR", None, "zh-Hans"]
    with path.open("rb") as file:
        assert box_language_tags(file) == {1: "pt-BR", 3: "zh-Hans"}
        file.seek(0)
        track = file.read()[file.read().find(b"trak") :]
    assert with_language_tag(track, "de-AT") == track  # no whole track


def test_a_file_without_an_index_has_none(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"\0\0\0\x08free")
    with path.open("rb") as file:
        assert box_language_tags(file) == {}
