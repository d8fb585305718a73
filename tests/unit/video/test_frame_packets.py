"""Each packet that the program counts, times and copies holds one frame that is shown."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import av
import pytest

from facepipe.datatypes import Span
from facepipe.video import decode, probe
from facepipe.video.damage import DecodeReport
from facepipe.video.frame_packets import frame_packets, shows_a_frame
from facepipe.video.h264_fields import Field
from media import synthetic
from media.fields import field_coded
from media.hidden import hidden_apart

_VP9 = {"cpu-used": "8", "deadline": "realtime", "error-resilient": "1", "g": "12", "b": "1M"}
_AV1 = {"preset": "11", "g": "12"}


def _counts(path: Path) -> tuple[int, int, int]:
    """Packets, packets of one frame each, and frames."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(container.streams.video[0]) if packet.size]
        whole = list(frame_packets(packets, container.streams.video[0]))
        assert sum(p.size for p in packets) <= sum(p.size for p in whole) + len(packets) * 2
    with av.open(str(path)) as container:
        return len(packets), len(whole), sum(1 for _ in container.decode(video=0))


@pytest.mark.parametrize(("suffix", "apart"), [(".ts", False), (".mkv", True), (".mp4", True)])
@pytest.mark.parametrize("framed", [(), (3, 4, 17)])
def test_two_fields_are_one_frame(
    suffix: str, apart: bool, framed: Sequence[int], tmp_path: Path
) -> None:
    path = field_coded(tmp_path / f"in{suffix}", apart=apart, framed=framed)
    assert _counts(path) == (80 - len(framed), 40, 40)
    info = probe(path)
    assert len(info.pts) == 40
    assert not info.damage
    assert not info.warnings
    assert len(info.closed_gops) == 4
    report = DecodeReport()
    frames = decode(info, Span(0, info.pts[15], info.pts[-1] + 1), report=report)
    assert [frame.pts for frame in frames] == list(info.pts[15:])
    assert not report.damage(info.pts)


def test_a_field_that_lacks_its_second_stays_alone(tmp_path: Path) -> None:
    path = field_coded(tmp_path / "in.mkv", apart=True, frames=12)
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        packets = [packet for packet in container.demux(video) if packet.size]
        del packets[5]  # the second field of the third frame
        whole = list(frame_packets(packets, video))
    assert len(whole) == 12
    assert whole[2].size == packets[4].size


@pytest.mark.parametrize(("codec", "options"), [("libvpx-vp9", _VP9), ("libsvtav1", _AV1)])
def test_hidden_frames_go_with_the_next_shown_one(
    codec: str, options: dict[str, str], tmp_path: Path
) -> None:
    video = partial(synthetic.video, codec=codec, options=options, frames=36)
    apart = hidden_apart(tmp_path / "apart.mkv", video=video)
    packets, whole, frames = _counts(apart)
    assert packets > whole == frames == 36
    info = probe(apart)
    assert len(info.pts) == 36
    assert not info.damage
    assert len(info.closed_gops) == 3


def test_frames_of_one_packet_each_pass_as_they_are(tmp_path: Path) -> None:
    path = synthetic.interlaced(tmp_path / "in.mp4")
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        packets = [packet for packet in container.demux(video) if packet.size]
        assert all(a is b for a, b in zip(packets, frame_packets(packets, video), strict=True))


def test_a_second_field_has_the_other_parity_and_the_same_number() -> None:
    top = Field(7, is_bottom=False, is_idr=False)
    assert top.is_completed_by(Field(7, is_bottom=True, is_idr=False))
    assert not top.is_completed_by(Field(7, is_bottom=False, is_idr=False))
    assert not top.is_completed_by(Field(8, is_bottom=True, is_idr=False))
    assert not top.is_completed_by(Field(7, is_bottom=True, is_idr=True))


@pytest.mark.parametrize(
    ("codec", "data", "shows"),
    [
        ("vp8", b"\x10\x00", True),
        ("vp8", b"\x00\x00", False),
        ("vp9", b"\x82\x49", True),
        ("vp9", b"\x80\x49", False),
        ("vp9", b"\x88", True),  # an earlier one
        ("vp9", b"\x80\x49\x82\x49\xc1\x02\x02\xc1", True),  # a superframe
        ("vp9", b"\xb1\x49", True),  # profile 3
        ("av1", b"\x12\x00\x32\x01\x10", True),
        ("av1", b"\x12\x00\x32\x01\x00", False),
        ("av1", b"\x12\x00\x1a\x01\x80", True),
        ("mpeg4", b"\x00", True),
    ],
)
def test_what_a_packet_shows_stands_in_its_header(codec: str, data: bytes, shows: bool) -> None:
    assert shows_a_frame(codec, data) is shows
