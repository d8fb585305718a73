"""Headers that change on the way are noted, given to decoders, and kept from muxers."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest

from facepipe.datatypes import HeaderChange, Span
from facepipe.video import decode, probe
from facepipe.video.headers import (
    HeaderScan,
    adts_config,
    header_at,
    is_same_header,
    new_header,
    other_headers,
    with_header,
    without_header,
)
from facepipe.video.muxing.handover import adts_header
from media import synthetic
from media.rejoined import headers_repeated, rejoined

_FIRST = partial(synthetic.video, frames=20, options={"g": "10", "bf": "2"}, audio=1)
_SECOND = partial(
    synthetic.video,
    frames=20,
    options={"g": "10", "bf": "0", "x264-params": "cabac=0:asm=0"},
    audio=1,
    audio_rate=16000,
)
_AAC_8000, _AAC_16000 = bytes.fromhex("1588"), bytes.fromhex("1408")


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".flv"])
def test_probe_notes_where_the_headers_change(suffix: str, tmp_path: Path) -> None:
    info = probe(rejoined(tmp_path / f"two{suffix}", (_FIRST, _SECOND)))
    (change,) = info.headers
    assert change.pts == sorted(info.pts)[20]
    assert change.extradata != info.extradata
    (sound,) = info.others
    assert [c.extradata[:2] for c in sound.headers] == [_AAC_16000]


def test_headers_that_come_once_more_are_no_change(tmp_path: Path) -> None:
    info = probe(headers_repeated(tmp_path / "again.flv", _FIRST))
    assert not info.headers
    assert not info.others[0].headers


def test_other_sequences_within_packets_are_noted(tmp_path: Path) -> None:
    info = probe(rejoined(tmp_path / "two.ts", (_FIRST, _SECOND)))
    assert not info.headers
    assert info.other_sequences == ((info.pts[20], info.pts[-1] + 1),)
    assert not probe(_FIRST(tmp_path / "one.ts")).other_sequences


@pytest.mark.parametrize("suffix", [".mp4", ".flv"])
def test_what_is_decoded_from_the_middle_is_what_is_decoded_from_the_start(
    suffix: str, tmp_path: Path
) -> None:
    path = rejoined(tmp_path / f"three{suffix}", (_FIRST, _SECOND, _FIRST))
    info = probe(path)
    with av.open(str(path)) as container:
        frames = container.decode(container.streams.video[0])
        truth = {frame.pts: frame.to_ndarray()[: info.height, : info.width] for frame in frames}
    assert len(truth) == 60
    for start in (*info.keyframe_pts, info.pts[25]):
        seen = 0
        for frame in decode(info, Span(0, start, info.pts[-1] + 1)):
            assert np.array_equal(frame.luma, truth[frame.pts])
            seen += 1
        assert seen == sum(pts >= start for pts in info.pts)


def test_the_header_in_force_is_that_of_the_last_change() -> None:
    changes = (HeaderChange(10, b"b"), HeaderChange(20, b"a"))
    assert [header_at(changes, pts) for pts in (None, 9, 10, 19, 20, 99)] == [
        *(None, None, b"b", b"b", b"a", b"a"),
    ]
    assert other_headers(changes, b"a") == [(10, 20)]
    assert other_headers(changes[:1], b"a") == [(10, None)]
    assert other_headers((), b"a") == []


def test_the_same_header_may_say_that_there_is_no_sbr() -> None:
    assert is_same_header(_AAC_8000, _AAC_8000 + b"\x56\xe5\x00")
    assert not is_same_header(_AAC_8000, _AAC_8000 + b"\x56\xe5\xa0")
    assert not is_same_header(_AAC_8000, _AAC_16000)
    assert not is_same_header(b"", _AAC_8000)


def test_a_packet_without_its_header_keeps_all_else(tmp_path: Path) -> None:
    with av.open(str(rejoined(tmp_path / "two.mp4", (_FIRST, _SECOND)))) as container:
        packets = [p for p in container.demux(container.streams.video[0]) if new_header(p)]
        (packet,) = packets
        bare = without_header(packet)
        assert new_header(bare) is None
        assert bytes(bare) == bytes(packet)
        kept = ("pts", "dts", "duration", "time_base", "is_keyframe", "is_corrupt", "stream_index")
        assert [getattr(bare, name) for name in kept] == [getattr(packet, name) for name in kept]
        assert without_header(bare) is bare


def test_decoders_get_a_new_header_where_they_look_for_it(tmp_path: Path) -> None:
    with av.open(str(_FIRST(tmp_path / "one.mp4"))) as container:
        packet = next(container.demux(container.streams.video[0]))
    assert bytes(with_header("mpeg4", packet, b"head")) == b"head" + bytes(packet)
    assert bytes(with_header("av1", packet, b"av1Chead")) == b"head" + bytes(packet)
    assert with_header("h264", packet, b"head") is packet


def test_each_packet_of_a_transport_stream_brings_its_header() -> None:
    configs = [bytes([0x12, 0x10]), bytes([0x11, 0x88])]  # 44,100 Hz of 2, 48,000 Hz of 1 channel
    heads = [adts_header(config, 100) or b"" for config in configs]
    assert [adts_config(head + bytes(100)) for head in heads] == configs
    assert adts_config(bytes(100)) is None
    scan = HeaderScan(b"", "aac")
    for number, head in enumerate([heads[0], heads[0], heads[1], heads[1]]):
        packet = av.Packet(head + bytes(100))
        packet.pts = number
        scan.feed(packet)
    assert (scan.first, scan.header) == (configs[0], configs[1])
    assert [(one.pts, one.extradata) for one in scan.changes] == [(2, configs[1])]
