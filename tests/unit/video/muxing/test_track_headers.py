"""What headers of tracks say goes from source to target."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest

from facepipe.video import EncodeSettings, probe
from facepipe.video.containers import MATROSKA, MP4, WEBM
from facepipe.video.muxing.track_headers import (
    TrackHeaders,
    put_track_headers,
    shape_for_header,
    track_headers,
)
from facepipe.video.pyav import matroska
from facepipe.video.pyav.ebml import element, unsigned
from facepipe.video.pyav.matroska import Description
from media import synthetic
from media.matroska import language_tag, tracks_of, with_told
from media.samples import language_tags
from media.video_checks import Render

VP9 = EncodeSettings("libvpx-vp9", (("deadline", "realtime"), ("cpu-used", "8")))
TAGS = (language_tag("pt-BR"), language_tag("zh-Hans"))


def heard(path: Path) -> Path:
    return synthetic.video(path, frames=12, audio=1)


def test_language_tags_go_from_container_to_container(tmp_path: Path, render: Render) -> None:
    source = with_told(tmp_path / "a.mkv", heard, *TAGS)
    made = [source]
    for name in ("b.mkv", "c.mp4", "d.mov", "e.mkv"):
        render(made[-1], tmp_path / name)
        made.append(tmp_path / name)
    for path in made:
        read = [t.get("language tag", b"").decode() for t in tracks_of(path)] if (
            path.suffix == ".mkv") else language_tags(path)  # fmt: skip
        assert read == ["pt-BR", "zh-Hans"], path
        with av.open(str(path)) as opened:
            assert track_headers(path, opened).tags == {0: "pt-BR", 1: "zh-Hans"}


def test_without_anything_to_say_no_byte_changes(tmp_path: Path, render: Render) -> None:
    render(heard(tmp_path / "a.mp4"), tmp_path / "b.mkv")
    contents = (tmp_path / "b.mkv").read_bytes()
    put_track_headers(TrackHeaders(), tmp_path / "b.mkv", [0, 1], 0, None)
    assert (tmp_path / "b.mkv").read_bytes() == contents
    assert b" " * 64 not in contents


@pytest.mark.parametrize("aspect", [Fraction(2), Fraction(1, 2), Fraction(16, 11), Fraction(8, 9)])
@pytest.mark.parametrize("suffix", [".mkv", ".webm"])
def test_the_shape_of_pixels(aspect: Fraction, suffix: str, tmp_path: Path, render: Render) -> None:
    source = synthetic.video(tmp_path / "a.mp4", frames=8, aspect=aspect)
    assert probe(source).sample_aspect_ratio == aspect
    after = render(source, tmp_path / f"b{suffix}", VP9)
    assert after.sample_aspect_ratio == aspect
    assert render(tmp_path / f"b{suffix}", tmp_path / f"c{suffix}", VP9).sample_aspect_ratio == (
        aspect
    )


def test_who_tells_the_shape_of_pixels() -> None:
    wide = Fraction(16, 11)
    assert shape_for_header("vp9", wide, WEBM) == wide
    assert shape_for_header("h264", wide, MATROSKA) is None
    assert shape_for_header("vp9", wide, MP4) is None
    assert shape_for_header("vp9", Fraction(1), WEBM) is None
    assert shape_for_header("vp9", None, WEBM) is None


def described(**numbers: int) -> Description:
    """A track of pictures with numbers in its video element, by their names in `matroska`."""
    inner = b"".join(
        element(getattr(matroska, name.upper()), unsigned(n)) for name, n in numbers.items()
    )
    return Description(element(matroska.VIDEO, inner))


@pytest.mark.parametrize(
    ("theirs", "size", "expected"),
    [
        ({"display_width": 128, "display_height": 64}, 2, (256, 128, None)),
        ({"display_width": 16, "display_height": 9, "display_unit": 3}, 2, (16, 9, 3)),
        ({}, 2, (None, None, None)),
    ],
)
def test_frames_are_displayed_as_in_the_source(
    theirs: dict[str, int], size: int, expected: tuple[int | None, ...], tmp_path: Path
) -> None:
    path = tmp_path / "a.mkv"
    source = synthetic.video(tmp_path / "b.mp4", frames=3, size=(96 * size, 64 * size))
    with av.open(str(source)) as given, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(given.streams.video[0], opaque=True)
        stream.metadata["title"] = matroska.ROOM
        for packet in given.demux(given.streams.video[0]):
            if packet.size:
                packet.stream = stream
                out.mux_one(packet)
    told = described(pixel_width=96, pixel_height=64, interlaced=2, **theirs)
    put_track_headers(TrackHeaders(tracks={0: told}), path, [0], 0, None)
    (track,) = tracks_of(path)
    read = [track.get(f"display {name}") for name in ("width", "height", "unit")]
    assert tuple(None if n is None else int.from_bytes(n, "big") for n in read) == expected
    assert track["interlaced"] == b"\2"
