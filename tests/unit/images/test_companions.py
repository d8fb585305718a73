"""What lies behind an image in its file comes along, and what points to it still does."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from facepipe.images.behind import behind_heif, behind_jpeg, contents, jpeg_end
from facepipe.images.still import read_image
from media.image_samples import again, double, opened, pillow, pixels, png, sample, stacked

VIDEO = (
    struct.pack(">I4s4sI4s", 20, b"ftyp", b"isom", 0, b"isom")
    + b"\0\0\0\x10mdat\xff\xd8\xff\xe1film"
)
GAIN = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf='
    b'"http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    b'xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0" '
    b'xmlns:c="http://ns.google.com/photos/1.0/container/" '
    b'xmlns:i="http://ns.google.com/photos/1.0/container/item/" '
    b'xmlns:g="http://ns.google.com/photos/1.0/camera/" g:MicroVideoOffset="44" g:Other="1">'
    b'<c:Directory><rdf:Seq><rdf:li rdf:parseType="Resource"><c:Item i:Semantic="GainMap" '
    b'i:Length="44"/></rdf:li></rdf:Seq></c:Directory></rdf:Description></rdf:RDF></x:xmpmeta>'
)
TURNED = Image.Exif()
TURNED[0x112] = 6


def indexed(*more: bytes, order: str = ">", gap: bytes = b"", **options: object) -> bytes:
    """A JPEG with an index of pictures (MPF) and further ones behind it, `gap` ahead of each."""
    first = sample("jpeg", **options)
    count = 1 + len(more)
    head = b"MM\0*" if order == ">" else b"II*\0"
    listed = struct.pack(f"{order}HHI4s", 0xB000, 7, 4, b"0100")
    listed += struct.pack(f"{order}HHII", 0xB001, 4, 1, count)
    listed += struct.pack(f"{order}HHII", 0xB002, 7, 16 * count, 50)
    body = head + struct.pack(f"{order}IH", 8, 3) + listed + bytes(4)
    at, index = 2, 2 + 4 + 4
    whole = len(first) + 8 + len(body) + 16 * count
    place, entries = whole, struct.pack(f"{order}IIIHH", 0x030000, whole, 0, 0, 0)
    for one in more:
        place += len(gap)
        entries += struct.pack(f"{order}IIIHH", 0, len(one), place - index, 0, 0)
        place += len(one)
    segment = b"MPF\0" + body + entries
    made = first[:at] + b"\xff\xe2" + struct.pack(">H", len(segment) + 2) + segment + first[at:]
    return made + b"".join(gap + one for one in more)


def further(content: bytes) -> list[bytes]:
    """The pictures that an index names behind the first one, by its own arithmetic."""
    index = content.index(b"MPF\0") + 4
    order = "<" if content[index : index + 2] == b"II" else ">"
    (count,) = struct.unpack_from(f"{order}I", content, index + 10 + 12 + 8)
    (listed,) = struct.unpack_from(f"{order}I", content, index + 10 + 24 + 8)
    found = []
    for number in range(count):
        size, offset = struct.unpack_from(f"{order}II", content, index + listed + 16 * number + 4)
        begin = index + offset if number else 0
        found.append(content[begin : begin + size])
    return found


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("gap", [b"", b"\0" * 7], ids=["one by one", "with gaps"])
@pytest.mark.parametrize("large", [False, True], ids=["as large", "twice as large"])
def test_an_index_finds_its_pictures(order: str, gap: bytes, large: bool) -> None:
    more = [sample("jpeg", comment=b"left"), sample("jpeg", comment=b"right " * 90)]
    source = indexed(*more, order=order, gap=gap)
    assert further(source)[1:] == more
    written = again(source, double) if large else again(source)
    first, *rest = further(written)
    assert rest == more
    assert first[:2] == b"\xff\xd8"
    assert first[-2:] == b"\xff\xd9"
    assert opened(first).size == ((80, 48) if large else (40, 24))
    assert read_image(source, "image").details.companions == ("2 further pictures",)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60), st.integers(1, 8), st.booleans())
def test_whatever_lies_behind_comes_along(rest: bytes, orientation: int, progressive: bool) -> None:
    exif = Image.Exif()
    exif[0x112] = orientation
    source = pillow(pixels(), "jpeg", exif=exif.tobytes(), progressive=progressive) + rest
    written = again(source)
    kept = rest if rest.strip(b"\0") else b""
    assert written.endswith(kept)
    assert written[jpeg_end(written) :] == kept
    # The picture is shown as before, whether it was turned or goes on saying how it lies.
    shown = stacked(read_image(source, "image").frame)
    assert np.abs(stacked(read_image(written, "again").frame).astype(int) - shown).mean() < 3


def test_a_video_and_its_pointers_stay() -> None:
    source = pillow(pixels(), "jpeg", xmp=GAIN) + VIDEO
    written = again(source)
    assert written.endswith(VIDEO)
    assert b'MicroVideoOffset="44"' in written
    assert b'Semantic="GainMap"' in written
    assert read_image(source, "image").details.companions == ("a video",)
    alone = again(pillow(pixels(), "jpeg", xmp=GAIN))  # nothing is there to point to
    for pointer in (b"MicroVideoOffset", b"GainMap", b'hdr-gain-map/1.0/" hdrgm:Version'):
        assert pointer not in alone
    assert b'g:Other="1"' in alone


def test_a_gain_map_lies_as_the_picture_does() -> None:
    gain = sample("jpeg")
    source = indexed(gain, exif=TURNED.tobytes(), xmp=GAIN)
    still = read_image(source, "image")
    assert still.details.companions == ("a gain map",)
    assert (still.frame.width, still.frame.height) == (24, 40)
    written = again(source, double)
    assert opened(written).size == (80, 48)  # as it was stored
    assert opened(written).getexif()[0x112] == 6
    assert further(written)[1:] == [gain]
    assert (read_image(written, "again").frame.width, still.frame.width) == (48, 24)


def test_segments_of_applications_stay() -> None:
    source = sample("jpeg")
    made = source[:2]
    for marker, body in ((0xE4, b"maker's own"), (0xE1, b"FLIR\0heat"), (0xEB, b"JP jumb c2pa")):
        made += bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body
    made += source[2:]
    written = again(made)
    assert b"maker's own" in written
    assert b"FLIR\0heat" in written
    assert b"c2pa" not in written
    assert read_image(made, "image").details.notes == ("the content credentials (C2PA)",)


def test_png_keeps_what_is_true_of_any_pixels() -> None:
    plain = sample("png")
    chunks = png((b"prIV", b"unsafe"), (b"prIv", b"safe"))[8:]
    source = plain[:33] + chunks + plain[33:] + b"behind"
    written = again(source)
    assert b"prIvsafe" in written
    assert b"unsafe" not in written
    assert written.endswith(b"behind")
    assert read_image(source, "image").details.notes == ("the chunk prIV",)


def test_boxes_behind_an_avif_stay() -> None:
    tail = struct.pack(">I4s", 8 + len(VIDEO), b"mpvd") + VIDEO
    source = sample("avif") + tail
    assert behind_heif(source) == tail
    assert again(source).endswith(tail)
    assert read_image(source, "image").details.companions == ("a video",)
    assert behind_heif(sample("avif")) == b""


@given(st.binary(max_size=400))
def test_nothing_in_a_file_can_stop_the_search(data: bytes) -> None:
    assert 0 <= jpeg_end(b"\xff\xd8" + data) <= len(data) + 2
    behind_jpeg(b"\xff\xd8" + data)
    behind_heif(data)
    contents(data)


def test_the_end_is_found_behind_thumbnails_and_restarts() -> None:
    thumbnail = Image.Exif()
    target = io.BytesIO()
    Image.fromarray(pixels()).save(target, "JPEG", restart_marker_blocks=1, exif=thumbnail)
    source = target.getvalue()
    body = b"Exif\0\0" + sample("jpeg")  # an image within a segment
    whole = source[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + source[2:]
    assert jpeg_end(whole + VIDEO) == len(whole)
    assert jpeg_end(whole[:-2]) == len(whole) - 2
