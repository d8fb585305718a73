"""XMP packets: marking them keeps all else, and what cannot be read is said."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from facepipe.marking.xmp import SOURCE_TYPE, VOCABULARY, marked, source_type_of
from media.xmp import PACKET


def test_a_new_packet_says_what_it_is() -> None:
    packet = marked(b"", "a <note> & more", 16, 16) or b""
    assert source_type_of(packet) == SOURCE_TYPE
    assert b"a &lt;note&gt; &amp; more" in packet
    ElementTree.fromstring(packet)


def test_a_packet_is_marked_once_however_often() -> None:
    once = marked(PACKET, "a note", 16, 16) or b""
    twice = marked(once, "a note", 16, 16) or b""
    assert twice.count(SOURCE_TYPE.encode()) == 1
    assert source_type_of(PACKET) == f"{VOCABULARY}digitalCapture"


def test_the_size_of_a_videos_frames_is_the_new_one() -> None:
    packet = marked(PACKET, "a note", 480, 272) or b""
    assert b'd:w="480" d:h="272" d:unit="pixel"' in packet


@pytest.mark.parametrize("before", ["", VOCABULARY])
def test_what_comes_whole_from_a_network_stays_so(before: str) -> None:
    said = f"{before}trainedAlgorithmicMedia"
    packet = PACKET.replace(f"{VOCABULARY}digitalCapture".encode(), said.encode())
    assert source_type_of(marked(packet, "a note", 1, 1) or b"") == said


@pytest.mark.parametrize(
    "packet", [b"<a", b"<a/>", b"\xff\xfe", b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'], ids=str
)
def test_what_cannot_be_read_is_not_marked(packet: bytes) -> None:
    assert marked(packet, "a note", 1, 1) is None
    assert source_type_of(packet) is None


def test_entities_are_refused_before_they_are_expanded() -> None:
    """A packet of a few kilobytes may name gigabytes."""
    many = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 100}">' for n in range(1, 6))
    bomb = f'<!DOCTYPE a [<!ENTITY a0 "{"b" * 100}">{many}]><a>&a5;</a>'
    assert marked(bomb.encode(), "a note", 1, 1) is None
    assert source_type_of(bomb.encode()) is None
