"""Which demuxers are used, and bare streams: their times, and their frames from any span."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.format import ContainerFormat

from facepipe.datatypes import Span
from facepipe.errors import InputError
from facepipe.pipeline.spans import plan_spans
from facepipe.video import decode, probe
from facepipe.video.demuxers import BARE, REFUSED, readable, refusal
from media import recorders, synthetic

_TIMED: dict[str, Any] = {"time_base": Fraction(1, 25), "pts": range(60)}
_MPEG = {"b": "4000000", "g": "6", "bf": "2"}


def demuxers() -> list[ContainerFormat]:
    found = []
    for name in sorted(av.formats_available):
        try:
            found.append(ContainerFormat(name, "r"))
        except ValueError:  # it only writes
            continue
    return found


def test_what_reads_no_file_is_refused() -> None:
    """Devices, networks, patterns of names: FFmpeg says of them that they open no file."""
    unnamed = [one.name for one in demuxers() if one.no_file and refusal(one.name) is None]
    assert unnamed == []


def test_all_else_is_used_but_what_is_named() -> None:
    used = readable().split(",")
    for one in demuxers():
        names = one.name.split(",")
        assert all((name in used) == (refusal(one.name) is None) for name in names), one.name
    known = {name for one in demuxers() for name in (one.name, *one.name.split(","))}
    assert {"hls", "concat", "sdp", "lavfi", "rawvideo", "image2"} <= known & set(REFUSED)
    assert {"h264", "hevc", "mjpeg", "m4v", "mpegvideo"} <= known & BARE
    assert not set(REFUSED) & BARE


_CLOSED = {"x265-params": "log-level=none:pools=1:open-gop=0"}
VIDEOS: dict[str, Callable[[Path], Path]] = {
    ".264": partial(synthetic.video, **_TIMED),
    ".265": partial(synthetic.video, codec="libx265", options=_CLOSED, **_TIMED),
    ".mjpeg": partial(synthetic.video, codec="mjpeg", pix_fmt="yuvj420p", **_TIMED),
    ".m2v": partial(synthetic.video, codec="mpeg2video", options=_MPEG, **_TIMED),
    ".dav": partial(recorders.dhav, make=partial(synthetic.video, **_TIMED)),
}


@pytest.mark.parametrize("suffix", VIDEOS)
def test_frames_of_any_span_are_those_of_the_whole(suffix: str, tmp_path: Path) -> None:
    """Though packets have no times, or those at which they are decoded."""
    source = VIDEOS[suffix](tmp_path / f"a{suffix}")
    info = probe(source)
    assert len(info.pts) == 60
    step = Fraction(1, 25) / info.time_base
    assert [pts - info.pts[0] for pts in info.pts] == [n * step for n in range(60)]
    with av.open(str(source), format="mjpeg" if suffix == ".mjpeg" else None) as opened:
        expected = [frame.to_ndarray()[:64] for frame in opened.decode(video=0)]
    spans = plan_spans(info, span_seconds=0.5)
    assert len(spans) > 1
    whole = Span(0, info.pts[0], info.pts[-1] + 1)
    for found in ([whole], spans):
        frames = [frame for span in found for frame in decode(info, span)]
        assert [frame.pts for frame in frames] == list(info.pts)
        for frame, image in zip(frames, expected, strict=True):
            assert np.array_equal(frame.planes[0], image)


@pytest.mark.parametrize(("name", "codec"), [("a.264", "libx264"), ("a.265", "libx265")])
def test_an_open_group_of_pictures_is_read_from_before_it(
    name: str, codec: str, tmp_path: Path
) -> None:
    source = synthetic.open_gop(tmp_path / name, codec=codec)
    info = probe(source)
    with av.open(str(source)) as opened:
        count = sum(1 for _ in opened.decode(video=0))
    cuts = [info.pts[0], info.pts[7], info.pts[20], info.pts[-1] + 1]
    found = [
        frame.pts
        for number in range(3)
        for frame in decode(info, Span(number, cuts[number], cuts[number + 1]))
    ]
    assert found == list(info.pts)
    assert len(found) == count


def test_the_rate_is_told(tmp_path: Path) -> None:
    timed = {"time_base": Fraction(1, 10), "pts": range(5)}
    info = probe(synthetic.video(tmp_path / "a.264", **timed))  # type: ignore[arg-type]
    assert info.frames_per_second == 10
    assert any("no times" in warning and "10 per second" in warning for warning in info.warnings)


def test_a_jpeg_is_no_video_but_many_are(tmp_path: Path) -> None:
    source = VIDEOS[".mjpeg"](tmp_path / "a.mjpeg")
    content = source.read_bytes()
    (tmp_path / "photo.mp4").write_bytes(content[: content.index(b"\xff\xd9") + 2])
    with pytest.raises(InputError, match=r"is a JPEG image and no video; name it \*\.jpg"):
        probe(tmp_path / "photo.mp4")
    assert len(probe(source.rename(tmp_path / "b.mp4")).pts) == 60
