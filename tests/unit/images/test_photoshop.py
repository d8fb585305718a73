"""Photoshop's resources are true of the image that is written."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from facepipe.images.photoshop import HEAD, moved_resources
from facepipe.images.turn import Turn
from media.image_samples import again, double, opened, pillow, pixels

_IPTC = b"\x1c\x02\x05\x00\x05Title"
_POINT = (30.0, 8.0)  # x, y in a picture of 40x24 px


def resource(number: int, body: bytes, name: bytes = b"") -> bytes:
    title = bytes([len(name)]) + name
    title += bytes(len(title) % 2)
    head = b"8BIM" + struct.pack(">H", number) + title + struct.pack(">I", len(body))
    return head + body + bytes(len(body) % 2)


def path() -> bytes:
    """A path of one knot, whose three points are `_POINT`."""
    y, x = round(_POINT[1] / 24 * 2**24), round(_POINT[0] / 40 * 2**24)
    length = struct.pack(">HH", 0, 1) + bytes(22)
    return length + struct.pack(">H6i", 1, *(3 * (y, x)))


def guides() -> bytes:
    """An upright guide through `_POINT`, and one that lies across."""
    head = struct.pack(">IIII", 1, 576, 576, 2)
    return head + struct.pack(">iBiB", 30 * 32, 0, 8 * 32, 1)


def small(side: int = 20) -> bytes:
    jpeg = pillow(np.full((side // 2, side, 3), 9, np.uint8), "jpeg")
    return struct.pack(">IIIIIIHH", 1, side, side // 2, 60, 600, len(jpeg), 24, 1) + jpeg


def resources() -> bytes:
    return (
        resource(0x404, _IPTC)
        + resource(0x408, guides())
        + resource(0x40C, small())
        + resource(0x41A, b"slices")
        + resource(0x7D0, path(), b"outline")
    )


def parsed(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and content of each resource, read by another rule than the program's."""
    at = 0
    while at < len(data):
        assert data[at : at + 4] == b"8BIM"
        (number,) = struct.unpack_from(">H", data, at + 4)
        name = 1 + data[at + 6]
        at += 6 + name + name % 2
        (size,) = struct.unpack_from(">I", data, at)
        yield number, data[at + 4 : at + 4 + size]
        at += 4 + size + size % 2


def in_jpeg(orientation: int, data: bytes) -> bytes:
    exif = Image.Exif()
    exif[0x112] = orientation
    plain = pillow(pixels(), "jpeg", quality=95, exif=exif.tobytes())
    pieces = [data[at : at + 400] for at in range(0, len(data), 400)]
    segments = [b"\xff\xed" + struct.pack(">H", len(p) + 16) + HEAD + p for p in pieces]
    return plain[:2] + b"".join(segments) + plain[2:]


def of_jpeg(content: bytes) -> dict[int, bytes]:
    at = content.index(HEAD)
    (size,) = struct.unpack_from(">H", content, at - 2)
    return dict(parsed(content[at + len(HEAD) : at - 2 + size]))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("large", [False, True], ids=["as large", "twice as large"])
def test_paths_guides_and_thumbnail_follow(orientation: int, large: bool) -> None:
    source = in_jpeg(orientation, resources())
    written = again(source, double) if large else again(source)
    found, (width, height) = of_jpeg(written), opened(written).size
    turn = Turn(40, 24, orientation, 2 if large else 1)
    x, y = turn.point(*_POINT)
    points = struct.unpack_from(">6i", found[0x7D0], 28)
    shares = [value / 2**24 for value in points]
    assert shares == pytest.approx([y / height, x / width] * 3, abs=1e-6)
    assert found[0x7D0][:26] == path()[:26]
    places = struct.unpack_from(">iBiB", found[0x408], 16)
    told = {bool(across): place / 32 for place, across in (places[:2], places[2:])}
    assert told == {False: pytest.approx(x), True: pytest.approx(y)}
    assert found[0x404] == _IPTC
    assert (0x41A in found) == (not turn.changes)
    wide, high = struct.unpack_from(">II", found[0x40C], 4)
    thumbnail = Image.open(io.BytesIO(found[0x40C][28:]))
    assert thumbnail.size == (wide, high)
    assert max(thumbnail.size) == 20
    shown = opened(written).convert("RGB").resize(thumbnail.size, Image.Resampling.LANCZOS)
    assert np.abs(np.asarray(thumbnail, int) - np.asarray(shown)).mean() < 12


def test_of_a_tiff_too() -> None:
    exif = Image.Exif()
    exif[0x112], exif[0x8649] = 6, resources()
    written = again(pillow(pixels(), "tiff", exif=exif.tobytes()))
    found = dict(parsed(bytes(opened(written).tag_v2[0x8649])))  # type: ignore[attr-defined]
    assert found[0x404] == _IPTC
    assert Image.open(io.BytesIO(found[0x40C][28:])).size == (12, 20)


def test_resources_that_hold_nothing_of_this_stay_byte_by_byte() -> None:
    plain = resource(0x404, _IPTC) + resource(0x3ED, bytes(16), b"odd")
    turn = Turn(40, 24, 6, 2)
    assert moved_resources(plain, turn, lambda _: b"") == plain
    for damaged in (b"8BIM", b"x" * 40, plain[:-3], resource(0x408, b"")[:-1] + b"\x09"):
        assert moved_resources(damaged, turn, lambda _: b"") == damaged
