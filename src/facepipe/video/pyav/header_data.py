"""What a container's header says of a video's frames: crop, projection, views.

PyAV has no way to read or set it (FFmpeg: coded side data of streams). But FFmpeg's mp4 muxer
writes it as boxes, whatever container it was read from, and a stream that is read from a header
with those boxes hands it on to every muxer. This goes when PyAV has such a way.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress

import av
from av.container import InputContainer

from facepipe.video.pyav.private_boxes import SPHERE, VIEWS, with_larger_crop

_MUXERS = ("mp4", "mov")  # the first one writes more kinds of boxes, the second takes more codecs
_OPTIONS = {"movflags": "empty_moov", "strict": "unofficial"}
#: The boxes, by what they say.
_WORDS = {
    b"clap": "the crop of its frames",
    b"sv3d": SPHERE,
    b"st3d": "the stereo layout",
    b"vexu": "the stereo layout",
    b"hfov": "the field of view",
    b"amve": "the ambient viewing environment",
}
_PATH = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
_OLDER = (b"st3d", b"sv3d")  # boxes that say the same, and which way views are packed
_SAMPLE_ENTRY, _TABLE = 86, 16  # bytes before the boxes in them

HeaderBoxes = Mapping[bytes, bytes]  # by type, whole


def header_boxes(stream: av.VideoStream) -> HeaderBoxes:
    """What the header says of the frames of `stream`; nothing where its codec fits no mov."""
    try:
        header = _header(stream)
    except ValueError:
        return {}
    begin, end = _sample_entry(header)
    found = {header[a + 4 : a + 8]: header[a:b] for a, b in _boxes(header, begin, end)}
    # FFmpeg writes it too where an older one says more, and would read it first.
    without = b"vexu" if any(kind in found for kind in _OLDER) else b""
    return {kind: box for kind, box in found.items() if kind in _WORDS and kind != without}


def names_of(boxes: HeaderBoxes) -> frozenset[str]:
    """What boxes say, as messages name it."""
    return frozenset(_WORDS[kind] for kind in boxes)


def scaled(boxes: HeaderBoxes, scale: int) -> HeaderBoxes:
    """The boxes of frames that are `scale` times as large."""
    return {kind: with_larger_crop(box, scale) for kind, box in boxes.items()}


def of_one_view(boxes: HeaderBoxes) -> HeaderBoxes:
    """The boxes without those of several views."""
    return {kind: box for kind, box in boxes.items() if kind not in VIEWS}


def with_header_boxes(stream: av.VideoStream, boxes: HeaderBoxes) -> InputContainer:
    """A container whose one stream is `stream` with those boxes, for a template.

    Its extradata may be stored in another way. ValueError where its codec fits no mov.
    """
    header = _header(stream)
    _, end = _sample_entry(header)
    made = bytearray(header[:end] + b"".join(boxes.values()) + header[end:])
    more, begin, stop = len(made) - len(header), 0, len(header)
    for kind in (*_PATH, None):  # all that holds the sample entry is larger now
        skipped = _TABLE if kind is None else 0
        inner = list(_boxes(header, begin + skipped, stop))
        at, stop = inner[0] if kind is None else _named(header, inner, kind)
        size = int.from_bytes(header[at : at + 4], "big")
        made[at : at + 4] = struct.pack(">I", size + more)
        begin = at if kind == _PATH[-1] else at + 8
    return av.open(io.BytesIO(bytes(made)), "r", format=_MUXERS[1])


def _header(stream: av.VideoStream) -> bytes:
    for muxer in _MUXERS:
        file = io.BytesIO()
        with (
            suppress(ValueError, av.FFmpegError),
            av.open(file, "w", format=muxer, container_options=_OPTIONS) as out,
        ):
            out.add_stream_from_template(stream, opaque=True)
            out.start_encoding()
            return file.getvalue()
    raise ValueError(f"{stream.codec_context.name} fits no mov")


def _sample_entry(header: bytes) -> tuple[int, int]:
    """Where the boxes of the first sample entry begin and end."""
    begin, end = 0, len(header)
    for kind in _PATH:
        begin, end = _named(header, list(_boxes(header, begin, end)), kind)
        begin += 8
    begin, end = next(_boxes(header, begin + _TABLE - 8, end))
    return begin + _SAMPLE_ENTRY, end


def _named(header: bytes, boxes: list[tuple[int, int]], kind: bytes) -> tuple[int, int]:
    return next((a, b) for a, b in boxes if header[a + 4 : a + 8] == kind)


def _boxes(header: bytes, begin: int, end: int) -> Iterator[tuple[int, int]]:
    at = begin
    while at + 8 <= end:
        size = max(int.from_bytes(header[at : at + 4], "big"), 8)
        yield at, at + size
        at += size
