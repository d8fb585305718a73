"""Videos of mp4 and mov with boxes that no FFmpeg writes, and what is read of them byte by byte."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import av
from av.sidedata.sidedata import Type

_HEADS = {b"stsd": 8, b"avc1": 78, b"hvc1": 78, b"vp09": 78, b"hev1": 78, b"meta": 4}
_HOLDERS = frozenset(b"moov trak mdia minf stbl stsd avc1 hvc1 hev1 vp09 udta".split())
ENTRY = ("moov", "trak", "mdia", "minf", "stbl", "stsd", "")
#: What FFmpeg's muxers write there.
_USUAL = re.compile(
    r"(ftyp|free|wide|mdat|moov/(mvhd|trak/mdia/.*|mvex)|moof|mfra|sidx|styp|(moov/trak/|moov/)?udta/"
    r"(meta|name|\xa9.*|loci|chpl)|moov/meta|skip)$"
)
_TRACK = re.compile(r"moov/trak/(tkhd|edts|mdia|tref|udta|tapt)$")
_CROP = {0xAA: "bottom", 0xBB: "top", 0xCC: "left", 0xDD: "right"}


def box(kind: str, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I4s", 8 + len(body), kind.encode("latin-1")) + body


def full(kind: str, *content: bytes) -> bytes:
    return box(kind, bytes(4), *content)


def crop(width: int, height: int, right: int = 0, down: int = 0) -> bytes:
    """The middle of a picture, moved by half pixels."""
    return box("clap", struct.pack(">8i", width, 1, height, 1, right, 2, down, 2))


def sphere(*, stereo: int = 2) -> bytes:
    projection = box("proj", full("prhd", bytes(12)), full("equi", bytes(16)))
    return box("sv3d", full("svhd", b"a maker\0"), projection) + full("st3d", bytes([stereo]))


def sphere_in_xml() -> bytes:
    said = {
        "Spherical": "true", "Stitched": "true", "StitchingSoftware": "mine",
        "ProjectionType": "equirectangular", "StereoMode": "top-bottom",
        "FullPanoWidthPixels": "96", "FullPanoHeightPixels": "64",
    }  # fmt: skip
    inner = "".join(f"<GSpherical:{k}>{v}</GSpherical:{k}>" for k, v in said.items())
    xml = (
        '<?xml version="1.0"?><rdf:SphericalVideo '
        'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
        f'xmlns:GSpherical="http://ns.google.com/videos/1.0/spherical/">{inner}'
        "</rdf:SphericalVideo>"
    )
    return box("uuid", bytes.fromhex("ffcc8263f8554a938814587a02521fdd"), xml.encode())


def views() -> bytes:
    """Two views side by side, as Apple says it."""
    eyes = box("eyes", full("stri", b"\3"), box("hero", b"\0\0\0\0\1"),
               box("cams", full("blin", struct.pack(">I", 19240))))  # fmt: skip
    packed = box("pack", full("pkin", b"side"))
    return box("vexu", eyes, packed) + box("hfov", struct.pack(">I", 63500))


def with_boxes(
    path: Path,
    make: Callable[[Path], Path],
    *boxes: tuple[Sequence[str], bytes],
    behind: bytes = b"",
) -> Path:
    """The video with boxes at the end of the first ones of those paths, and bytes `behind` all."""
    made = make(path).read_bytes()
    for place, content in boxes:
        made = made + content if not place else _inserted(made, 0, place, content)
    path.write_bytes(made + behind)
    return path


def _inserted(data: bytes, head: int, place: Sequence[str], content: bytes) -> bytes:
    if not place:
        return data + content
    parts, done = [data[:head]], False
    for begin, end, kind in _walk(data, head, len(data)):
        whole = data[begin:end]
        if not done and place[0] in ("", kind.decode("latin-1")):
            done = True
            inner = _inserted(whole, 8 + _HEADS.get(kind, 0), place[1:], content)
            whole = struct.pack(">I", len(inner)) + inner[4:]
        parts.append(whole)
    if not done:  # such as user data, which not all videos have
        inner = _inserted(box(place[0]), 8, place[1:], content)
        parts.append(struct.pack(">I", len(inner)) + inner[4:])
    return b"".join(parts)


def _walk(data: bytes, begin: int, end: int) -> Iterator[tuple[int, int, bytes]]:
    while begin + 8 <= end:
        size = int.from_bytes(data[begin : begin + 4], "big") or end - begin
        if not 8 <= size <= end - begin:
            return
        yield begin, begin + size, data[begin + 4 : begin + 8]
        begin += size


def boxes_of(path: Path) -> dict[str, list[bytes]]:
    """The boxes that FFmpeg does not write, by their place; "" is what lies behind all."""
    data = path.read_bytes()
    if data[4:8] != b"ftyp":
        return {}
    found: dict[str, list[bytes]] = {}

    def visit(begin: int, end: int, place: str) -> int:
        last = begin
        for start, last, kind in _walk(data, begin, end):
            name = f"{place}{kind.decode('latin-1')}"
            if kind in _HOLDERS:
                visit(start + 8 + _HEADS.get(kind, 0), last, f"{name}/")
            elif not _USUAL.match(name) and not _TRACK.match(name):
                found.setdefault(name, []).append(data[start:last])
        return last

    last = visit(0, len(data), "")
    if data[last:].strip(b"\0"):
        found[""] = [data[last:]]
    inside = [name for name in found if name.startswith("moov/trak/mdia")]
    for name in inside:  # how packets are stored
        del found[name]
    return {name: sorted(contents) for name, contents in found.items()}


def crop_of(path: Path) -> dict[str, int]:
    """How many pixels the header cuts off at each side; nothing where it says none."""
    data = path.read_bytes()
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        width, height = video.codec_context.width, video.codec_context.height
    if data[:4] == b"\x1a\x45\xdf\xa3":
        header = data[: data.index(b"\x1f\x43\xb6\x75")]
        cut = re.findall(rb"\x54([\xaa\xbb\xcc\xdd])(?:\x81(.)|\x82(..))", header, re.DOTALL)
        return {_CROP[kind[0]]: int.from_bytes(a or b, "big") for kind, a, b in cut}
    at = data.find(b"clap")
    if at < 0:
        return {}
    w, wd, h, hd, x, xd, y, yd = struct.unpack_from(">8i", data, at + 4)
    left, top = (width - w / wd) / 2 + x / xd, (height - h / hd) / 2 + y / yd
    sides = {"left": left, "top": top, "right": width - w / wd - left,
             "bottom": height - h / hd - top}  # fmt: skip
    return {side: round(pixels) for side, pixels in sides.items() if round(pixels)}


def projection_of(path: Path) -> tuple[bytes, int | None]:
    """The sphere's projection, and how two views are packed, by FFmpeg's reading."""
    with av.open(str(path)) as container:
        frame = next(container.decode(container.streams.video[0]))
        side: Any = frame.side_data
        stereo = bytes(side[Type.STEREO3D]) if Type.STEREO3D in side else b""
        sphere = bytes(side[Type.SPHERICAL]) if Type.SPHERICAL in side else b""
    return sphere, int.from_bytes(stereo[:4], "little") if stereo else None
