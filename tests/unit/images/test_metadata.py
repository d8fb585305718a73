"""What an image file says beside its pixels is still there, and still true, when it is written."""

from __future__ import annotations

import io
import struct
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin

from facepipe.errors import MediaError
from facepipe.images.exif import DamagedError, orientation_of, resized, upright
from facepipe.images.still import read_image, write_image
from facepipe.images.xmp import stamped
from facepipe.marking.xmp import SOURCE_TYPE
from media.image_samples import KINDS, NOTE, again, double, opened, pillow, pixels, png, vips

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b"""<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="uuid:1" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"
 xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:mine="http://mine/" tiff:Orientation="6"
 xmp:Rating="5" mine:text="one&#xA;two &quot;three&quot;"
 xmlns:e="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" e:DigitalSourceType="digitalCapture">
<tiff:ImageWidth>40</tiff:ImageWidth><xmp:Thumbnails>old</xmp:Thumbnails>
<dc:creator xmlns:dc="http://purl.org/dc/elements/1.1/"><rdf:Seq>
<rdf:li>M\xc3\xbcller &amp; Co</rdf:li></rdf:Seq></dc:creator></rdf:Description></rdf:RDF>
</x:xmpmeta>   <?xpacket end="w"?>\0"""
RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"


def exif() -> Image.Exif:
    """Turned to the right, with a maker's note, a place, and the size of `pixels()`."""
    made = Image.Exif()
    made[0x112], made[0x10F], made[0x11A], made[0x11B], made[0x128] = 6, "Maker", 300.0, 300.0, 2
    made.get_ifd(0x8769).update({0x927C: b"note of the maker", 0xA002: 40, 0xA003: 24})
    made.get_ifd(0x8825).update({1: "N", 2: (51.0, 28.0, 38.0)})
    return made


def text() -> PngImagePlugin.PngInfo:
    told = PngImagePlugin.PngInfo()
    told.add_text("Author", "Someone")
    told.add_text("Title", "Größe", zip=True)
    told.add_itxt("XML:com.adobe.xmp", XMP.decode().strip("\0"), zip=True)
    return told


def full(kind: str) -> bytes:
    """A turned image of that kind with everything in it that Pillow can write."""
    more: dict[str, dict[str, Any]] = {
        "jpeg": {"dpi": (300, 300), "comment": b"a comment", "xmp": XMP, "quality": 90},
        "png": {"dpi": (300, 300), "pnginfo": text()},
        "tiff": {},
    }
    options, told = more.get(kind, {"xmp": XMP}), exif()
    if kind == "tiff":
        told[700] = XMP
    return pillow(pixels(), kind, exif=told.tobytes(), icc_profile=ICC, **options)


def xmp_of(content: bytes) -> bytes:
    return read_image(content, "image").details.xmp


def described(packet: bytes) -> dict[str, str]:
    """The attributes of all descriptions in a packet."""
    root = ET.fromstring(packet)
    return {k: v for node in root.iter(f"{RDF}Description") for k, v in node.attrib.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_metadata_stay(kind: str) -> None:
    source = full(kind)
    written = opened(again(source, double))
    before, after = opened(source).getexif(), written.getexif()
    assert written.size == (48, 80)
    assert written.info["icc_profile"] == ICC
    assert after.get(0x112, 1) == 1
    assert after[0x10F] == "Maker"
    assert (after[0x11A], after[0x128]) == (300.0, 2)
    assert after.get_ifd(0x8825)[1] == "N"
    assert dict(after.get_ifd(0x8825)) == dict(before.get_ifd(0x8825))
    inner = after.get_ifd(0x8769)
    assert (inner[0xA002], inner[0xA003]) == (48, 80)
    assert inner[0x927C] == b"note of the maker"


@pytest.mark.parametrize("kind", KINDS)
def test_the_note_is_in_the_xmp_of_every_kind(kind: str) -> None:
    packet = xmp_of(again(pillow(pixels(), kind)))
    assert described(packet)[f"{IPTC}DigitalSourceType"] == SOURCE_TYPE
    (description,) = ET.fromstring(packet).iter("{http://purl.org/dc/elements/1.1/}description")
    assert "".join(description.itertext()) == NOTE
    packet = xmp_of(again(full(kind), double))
    told = described(packet)
    assert told[f"{IPTC}DigitalSourceType"] == SOURCE_TYPE
    assert told[f"{RDF}about"] == "uuid:1"
    assert told["{http://ns.adobe.com/xap/1.0/}Rating"] == "5"
    assert told["{http://mine/}text"] == 'one\ntwo "three"'
    assert told["{http://ns.adobe.com/tiff/1.0/}Orientation"] == "1"
    assert b"<tiff:ImageWidth>48</tiff:ImageWidth>" in packet
    assert "Müller &amp; Co".encode() in packet
    assert b"digitalCapture" not in packet
    assert b"Thumbnails" not in packet


def test_of_deep_avif_too() -> None:
    source = vips(pixels(bits=16), "avif", bitdepth=10, compression="av1", keep="none")
    still = read_image(source, "image")
    blobs = read_image(full("avif"), "other").details
    deep = type(blobs)(10, blobs.exif, blobs.xmp, ICC)
    mixed = type(still)(still.frame, still.kind, deep)
    written = write_image(mixed, double(still.frame), note=NOTE)
    after = read_image(written, "again")
    assert (after.frame.format.bits, after.frame.width) == (10, 80)
    assert after.details.icc == ICC
    assert b"Maker" in after.details.exif
    inner = opened(written).getexif()
    assert (inner[0x11A], inner.get_ifd(0x8769)[0xA002]) == (300.0, 80)
    assert described(after.details.xmp)[f"{IPTC}DigitalSourceType"] == SOURCE_TYPE
    bare = again(source)
    assert read_image(bare, "bare").details.exif == b""


def test_jpeg_keeps_density_comment_and_iptc() -> None:
    source = full("jpeg")
    iptc = b"\xff\xed" + struct.pack(">H", 2 + 14 + 12) + b"Photoshop 3.0\08BIM\x04\x04\0\0\0\0\0\0"
    written = again(source[:20] + iptc + source[20:])
    after = opened(written)
    assert after.info["dpi"] == (300, 300)
    assert after.info["comment"] == b"a comment"
    assert "photoshop" in after.info
    assert written[2:4] == b"\xff\xe0"
    assert written.count(b"JFIF\0") == 1


def test_xmp_that_outgrows_its_segment_is_told() -> None:
    most = 65533 - len(b"http://ns.adobe.com/xap/1.0/\0")
    packet = XMP.replace(b'"5"', b'"5" mine:more="' + b"x" * (most - len(XMP) - 14) + b'"')
    still = read_image(pillow(pixels(), "jpeg", xmp=packet), "image")
    with pytest.raises(MediaError, match="do not fit a segment of 65533"):
        write_image(still, still.frame, note=NOTE)


def test_png_keeps_text_resolution_and_gamma() -> None:
    source = full("png")
    gamma = png((b"gAMA", struct.pack(">I", 45455)))[8:]
    after = opened(again(source[:33] + gamma + source[33:]))
    assert (after.info["Author"], after.info["Title"]) == ("Someone", "Größe")
    assert after.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    assert after.info["gamma"] == 0.45455


@pytest.mark.parametrize("order", [">", "<"])
@pytest.mark.parametrize("big", [False, True])
def test_tiff_keeps_its_tags_whatever_its_byte_order(order: str, big: bool) -> None:
    target = io.BytesIO()
    tifffile = pytest.importorskip("tifffile")
    tags = [(315, 2, 0, "Someone"), (700, 1, len(XMP), XMP), (34675, 7, len(ICC), ICC)]
    tifffile.imwrite(
        target,
        pixels(bits=16),
        photometric="rgb",
        byteorder=order,
        bigtiff=big,
        description="A title",
        resolution=(300, 300),
        resolutionunit=2,
        extratags=[(*tag, True) for tag in tags],
    )
    written = again(target.getvalue())
    after = tifffile.TiffFile(io.BytesIO(written)).pages[0].tags
    assert (after[270].value, after[315].value) == ("A title", "Someone")
    assert (after[282].value, after[296].value) == ((300, 1), 2)
    assert after[34675].value == ICC
    assert described(xmp_of(written))["{http://ns.adobe.com/xap/1.0/}Rating"] == "5"
    np.testing.assert_array_equal(
        np.stack(read_image(written, "x").frame.planes, -1), pixels(bits=16)
    )


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_damaged_exif_is_left_out(kind: str) -> None:
    source = pillow(pixels(), kind, exif=b"Exif\0\0II*\0\xff\xff\0\0" + bytes(9))
    assert read_image(source, "image").details.exif == b""
    assert not opened(again(source)).getexif()


@given(st.binary(max_size=80))
def test_any_exif_is_read_or_refused(tail: bytes) -> None:
    for head in (b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0", b""):
        try:
            changed = resized(upright(head + tail), 70000, 5)
            assert orientation_of(changed) in range(1, 9)
        except DamagedError:
            pass


def test_the_size_in_exif_may_outgrow_its_field() -> None:
    structure = b"II*\0\x08\0\0\0" + struct.pack("<HHHIHHI", 1, 0x100, 3, 1, 40, 0, 0)
    changed = resized(structure, 70000, 5)
    assert struct.unpack_from("<HHII", changed, 10) == (0x100, 4, 1, 70000)


@pytest.mark.parametrize(
    "packet",
    [
        b"<x", b"<a/>", b"\xff\xfe\0", b"<a>" * 5000 + b"</a>" * 5000,
        b'<!DOCTYPE a [<!ENTITY b "c">]>' + XMP[XMP.index(b"<x:") : XMP.index(b"   <?")],
    ],
)  # fmt: skip
def test_malformed_xmp_is_replaced(packet: bytes) -> None:
    assert stamped(packet, NOTE, 1, 1) == stamped(b"", NOTE, 1, 1)


def test_a_description_stays() -> None:
    once = stamped(XMP, "the first", 1, 1)
    twice = stamped(once, "the second", 1, 1)
    assert b"the first" in twice
    assert b"the second" not in twice
    assert twice.count(SOURCE_TYPE.encode()) == 1


def test_a_note_is_escaped() -> None:
    packet = stamped(b"", "<a> & \x00\ud800 b", 1, 1)
    (item,) = ET.fromstring(packet).iter(f"{RDF}li")
    assert item.text == "<a> &  b"


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_note_nothing_is_claimed(kind: str) -> None:
    bare = read_image(pillow(pixels(), kind), "image")
    assert xmp_of(write_image(bare, bare.frame, note="")) == b""
    still = read_image(full(kind), "image")
    packet = xmp_of(write_image(still, still.frame, note=""))
    assert described(packet)[f"{IPTC}DigitalSourceType"] == "digitalCapture"
    assert described(packet)["{http://ns.adobe.com/tiff/1.0/}Orientation"] == "1"


def test_a_gain_map_that_is_not_kept_is_not_spoken_of() -> None:
    told = XMP.replace(
        b' xmp:Rating="5"', b' xmlns:h="http://ns.adobe.com/hdr-gain-map/1.0/" h:Version="1.0"'
    )
    assert b"h:Version" not in stamped(told, NOTE, 1, 1)
