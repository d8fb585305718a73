"""What a container's header says of a video's frames: crop, projection, views.

PyAV has no way to read or set it (FFmpeg: coded side data of streams). But FFmpeg's mp4 muxer
writes it as boxes, whatever container it was read from, and a stream that is read from a header
with those boxes hands it on to every muxer. This goes when PyAV has such a way.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import suppress

import av
from av.container import InputContainer

from facepipe.video.pyav.isobmff import TO_ENTRY, VIDEO_ENTRY, Box, boxes_in, boxes_to, with_part
from facepipe.video.pyav.private_boxes import SPHERE, VIEWS, crops_nothing, with_larger_crop

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
_OLDER = (b"st3d", b"sv3d")  # boxes that say the same, and which way views are packed

HeaderBoxes = Mapping[bytes, bytes]  # by type, whole


def header_boxes(stream: av.VideoStream) -> HeaderBoxes:
    """What the header says of the frames of `stream`; nothing where its codec fits no mov."""
    try:
        header = _header(stream)
    except ValueError:
        return {}
    entry = _sample_entry(header)[-1]
    inner = boxes_in(header, entry.begin + VIDEO_ENTRY, entry.end)
    found = {box.kind: header[box.begin : box.end] for box in inner}
    # FFmpeg writes it too where an older one says more, and would read it first.
    without = {b"vexu"} if any(kind in found for kind in _OLDER) else set()
    size = stream.codec_context.width, stream.codec_context.height
    if crops_nothing(found.get(b"clap", b""), size):  # the muxer writes it for some codecs anyway
        without.add(b"clap")
    return {kind: box for kind, box in found.items() if kind in _WORDS and kind not in without}


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
    way = _sample_entry(header)
    end = way[-1].end
    made = with_part(header, way, end, end, b"".join(boxes.values()))
    return av.open(io.BytesIO(made), "r", format=_MUXERS[1])


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


def _sample_entry(header: bytes) -> list[Box]:
    """The boxes down to the first sample entry, which is the last of them."""
    way = boxes_to(header, 0, len(header), (b"moov", b"trak", *TO_ENTRY))
    if not way:
        raise ValueError("a header without a sample entry")
    return way
