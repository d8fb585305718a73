"""Videos that do not go on as they began: sections of one stream, each encoded in its own way."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from media.drawing import HEIGHT, WIDTH, frames_of, picture

_BASE = Fraction(1, 25)
_QUICK = {
    "libx264": {"preset": "ultrafast", "qp": "4", "x264-params": "asm=0"},
    "libx265": {"preset": "ultrafast", "crf": "4"},
    "libvpx": {"cpu-used": "8", "deadline": "realtime", "b": "4000000"},
    "libvpx-vp9": {"cpu-used": "8", "deadline": "realtime", "crf": "6", "b": "0"},
    "libsvtav1": {"preset": "11", "crf": "6", "svtav1-params": "lp=1"},
    "mpeg2video": {"b": "6000000", "bf": "0"},
    "mpeg4": {"b": "4000000"},
    "mjpeg": {"q": "2"},
}


@dataclass(frozen=True)
class Section:
    """Frames of one kind. `colour` is range, matrix, primaries and transfer by H.273's numbers.

    `filters` are what FFmpeg does to each picture, such as "setfield=tff"; `data` changes the bytes
    of each packet, given its number.
    """

    frames: int = 10
    size: tuple[int, int] = (WIDTH, HEIGHT)
    pix_fmt: str = "yuv420p"
    colour: tuple[int, int, int, int] | None = None
    aspect: Fraction | None = None
    interlaced: bool = False
    filters: Sequence[str] = ()
    options: dict[str, str] = field(default_factory=dict)
    pictures: Callable[[int], NDArray[np.uint8]] | None = None
    data: Callable[[int, bytes], bytes] = lambda _, data: data


def captions(_: int, data: bytes) -> bytes:
    """A packet of H.264 or MPEG-2 with two letters of closed captions (ATSC A/53) in its head."""
    letters = b"GA94\x03" + bytes([0xC0 | 1, 0xFF, 0xFC, 0xC8, 0xE9, 0xFF])
    picture = data.find(b"\x00\x00\x01\x00")
    if data.startswith((b"\x00\x00\x01\xb3", b"\x00\x00\x01\x00")) and picture >= 0:  # MPEG-2
        slices = data.find(b"\x00\x00\x01\x01", picture)
        return data[:slices] + b"\x00\x00\x01\xb2" + letters + data[slices:]
    user_data = b"\xb5\x00\x31" + letters
    unit = b"\x00\x00\x00\x01\x06\x04" + bytes([len(user_data)]) + user_data + b"\x80"
    return unit + data


def progressive_up_to(count: int) -> Callable[[int, bytes], bytes]:
    """Marks the first packets of interlaced H.264 as frames, not fields (pic_struct 0)."""
    timing = re.compile(rb"(\x00\x00\x01\x06\x01\x01)[\x32\x42](\x80)", re.DOTALL)

    def marked(number: int, data: bytes) -> bytes:
        found = timing.search(data) if number < count else None
        if found is None:
            return data
        return data[: found.start()] + found[1] + b"\x04" + found[2] + data[found.end() :]

    return marked


def sectioned(path: Path, *sections: Section, codec: str = "libx264") -> Path:
    """A video of these sections at 25 frames a second; its header is the first one's."""
    with av.open(str(path), "w") as out:
        first = sections[0]
        stream: Any = out.add_stream(codec, rate=25, options=_options(codec, first))
        stream.width, stream.height, stream.pix_fmt = *first.size, first.pix_fmt
        stream.time_base = stream.codec_context.time_base = _BASE
        if first.colour is not None:
            _tag(stream.codec_context, first.colour)
        if first.aspect is not None:
            stream.codec_context.sample_aspect_ratio = first.aspect
        begin = 0
        for section in sections:
            for packet in _encoded(codec, section, begin):
                packet.stream = stream
                out.mux_one(packet)
            begin += section.frames
    return path


def _options(codec: str, section: Section) -> dict[str, str]:
    options = _QUICK.get(codec, {}) | section.options
    if codec == "libx265":
        given = options.get("x265-params")
        params = "log-level=none:pools=1:repeat-headers=1"
        options["x265-params"] = f"{given}:{params}" if given else params
    return options


def _tag(context: Any, colour: tuple[int, int, int, int]) -> None:
    context.color_range, context.colorspace = colour[:2]
    context.color_primaries, context.color_trc = colour[2:]


def _encoded(codec: str, section: Section, begin: int) -> Iterator[av.Packet[Any]]:
    context: Any = av.CodecContext.create(codec, "w")
    context.width, context.height = section.size
    context.pix_fmt, context.time_base, context.framerate = section.pix_fmt, _BASE, 25
    context.options, context.thread_count = _options(codec, section), 1
    if section.aspect is not None:
        context.sample_aspect_ratio = section.aspect
    if section.colour is not None:
        _tag(context, section.colour)
    if section.interlaced:
        context.flags |= 0x00040000 | 0x20000000
    drawn = (
        section.pictures(begin + n) if section.pictures else picture(begin + n, *section.size)
        for n in range(section.frames)
    )
    times = range(begin, begin + section.frames)
    number = -1
    for frame in [*frames_of(drawn, times, _BASE, section.pix_fmt, section.filters), None]:
        if frame is not None and section.colour is not None:
            _tag(frame, section.colour)
        for packet in context.encode(frame):
            number += 1
            made: av.Packet[Any] = av.Packet(section.data(number, bytes(packet)))
            made.pts, made.dts, made.duration = packet.pts, packet.dts, packet.duration or 1
            made.time_base, made.is_keyframe = _BASE, packet.is_keyframe
            yield made
