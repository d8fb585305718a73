"""Copied streams go on under the headers that their packets need, where the container can."""

from __future__ import annotations

import pytest

from facepipe.video.containers import MATROSKA, MP4, MPEGTS
from facepipe.video.muxing.handover import adts_header, can_go_on

_AAC_8000, _AAC_16000 = bytes.fromhex("1588"), bytes.fromhex("1408")


@pytest.mark.parametrize("header", [_AAC_8000, _AAC_16000])
def test_adts_says_what_the_header_says(header: bytes) -> None:
    head = adts_header(header, 100)
    assert head is not None
    assert head[:2] == b"\xff\xf1"
    assert head[2] >> 2 & 15 == (header[0] << 8 | header[1]) >> 7 & 15
    assert (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5 == 107
    assert adts_header(b"\x2b\x88", 100) is None  # SBR has no number there


def test_containers_go_on_under_another_header_where_they_can() -> None:
    assert can_go_on("aac", _AAC_8000, _AAC_16000, MP4)
    assert can_go_on("aac", _AAC_8000, _AAC_16000, MPEGTS)
    assert not can_go_on("aac", _AAC_8000, _AAC_16000, MATROSKA)
    assert can_go_on("aac", _AAC_8000, _AAC_8000, MATROSKA)
    assert not can_go_on("alac", b"one", b"other", MP4)
    assert not can_go_on("aac", b"", _AAC_16000, MP4)  # each packet brings its own
    assert can_go_on("aac", b"", _AAC_16000, MPEGTS)
