"""EBML: elements are read whole and cut, and a content grows to a size that it had."""

from __future__ import annotations

import io
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facepipe.video.pyav.ebml import (
    CLUSTER,
    CRC,
    SEGMENT,
    TRACKS,
    element,
    elements,
    filled,
    find_tracks,
    unsigned,
    wide_element,
)

_UNKNOWN = b"\x01" + b"\xff" * 7
_HEAD = element(b"\x1a\x45\xdf\xa3", b"\x42\x86\x81\x01")


@given(st.lists(st.binary(max_size=300), max_size=6))
def test_what_is_written_is_read(contents: list[bytes]) -> None:
    made = b"".join(element(b"\xa3", one) + wide_element(b"\x56\xaa", one) for one in contents)
    read = [(one.name, made[one.content : one.end]) for one in elements(made, 0, len(made))]
    assert read == [(name, one) for one in contents for name in (b"\xa3", b"\x56\xaa")]


@given(st.binary(max_size=64))
def test_any_bytes_end(data: bytes) -> None:
    found = list(elements(data, 0, len(data)))
    assert all(one.begin < one.end <= len(data) for one in found)
    find_tracks(io.BytesIO(data))


@given(st.binary(max_size=40), st.integers(0, 400))
def test_a_content_grows_by_an_element_without_meaning(inner: bytes, more: int) -> None:
    content = element(b"\xae", inner)
    if more == 1:
        with pytest.raises(ValueError, match="do not fit"):
            filled(content, len(content) + more)
        return
    made = filled(content, len(content) + more)
    assert len(made) == len(content) + more
    names = [one.name for one in elements(made, 0, len(made))]
    assert names == [b"\xae"] + [b"\xec"] * (more > 0)


def test_a_content_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="10 bytes do not fit into 9"):
        filled(bytes(10), 9)


def test_a_checksum_is_made_anew() -> None:
    content = element(CRC, bytes(4)) + element(b"\xae", b"track")
    made = filled(content, len(content) + 20)
    first, *_ = elements(made, 0, len(made))
    assert made[first.content : first.end] == zlib.crc32(made[first.end :]).to_bytes(4, "little")


@pytest.mark.parametrize("size", [_UNKNOWN, None], ids=["unknown size", "known size"])
def test_tracks_ahead_of_clusters_are_found(size: bytes | None) -> None:
    inner = (
        element(b"\x15\x49\xa9\x66", bytes(9)) + element(TRACKS, b"here") + element(CLUSTER, b"")
    )
    whole = _HEAD + (element(SEGMENT, inner) if size is None else SEGMENT + size + inner)
    found = find_tracks(io.BytesIO(whole))
    assert found is not None
    assert whole[found.content : found.end] == b"here"


def test_tracks_behind_clusters_are_found_by_the_index() -> None:
    def inner(place: int) -> bytes:
        entry = element(b"\x53\xab", TRACKS) + element(b"\x53\xac", place.to_bytes(8, "big"))
        head = element(b"\x11\x4d\x9b\x74", element(b"\x4d\xbb", entry))
        return head + element(CLUSTER, bytes(50)) + element(TRACKS, b"here")

    place = inner(0).index(TRACKS + b"\x84here")
    for told, there in ((place, True), (place + 1, False), (10**6, False)):
        whole = _HEAD + element(SEGMENT, inner(told))
        found = find_tracks(io.BytesIO(whole))
        assert (found is not None) is there
    assert find_tracks(io.BytesIO(_HEAD)) is None


def test_numbers_are_as_short_as_they_can_be() -> None:
    assert [unsigned(n) for n in (0, 255, 256)] == [b"\0", b"\xff", b"\x01\0"]
