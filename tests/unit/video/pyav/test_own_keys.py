"""Keys of one's own: FFmpeg reads them beside the fields."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from facepipe.video.pyav.copied_boxes import copy_private_boxes
from facepipe.video.pyav.own_keys import keys_box
from facepipe.video.pyav.private_boxes import PrivateBoxes
from media import synthetic
from media.samples import fields_of

KEYS = {"com.example.reel": "sieben - 七", "com.android.capture.fps": "29.97", "odd": "\udce9"}


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_keys_and_fields_are_read(suffix: str, tmp_path: Path) -> None:
    path = synthetic.video(tmp_path / f"a{suffix}", frames=4, metadata={"title": "A title"})
    boxes = PrivateBoxes(moov=(keys_box(KEYS, quicktime=suffix == ".mov"),))
    with path.open("rb") as given:
        copy_private_boxes(boxes, given, path, [(1, None)])
    with av.open(str(path), metadata_errors="surrogateescape") as container:
        read = container.metadata
    assert read["title"] == "A title"
    assert read["com.example.reel"] == KEYS["com.example.reel"]
    assert float(read["com.android.capture.fps"]) == pytest.approx(29.97)
    assert read["odd"] == "\udce9"
    assert suffix == ".mov" or b"\xa9nam" in fields_of(path)


def test_a_number_that_is_none_stays_text() -> None:
    assert b"fast" in keys_box({"com.android.capture.fps": "fast"}, quicktime=False)


def test_no_keys_make_no_box() -> None:
    assert keys_box({}, quicktime=True) == b""
