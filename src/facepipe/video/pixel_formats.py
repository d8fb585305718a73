"""FFmpeg's pixel formats and colour tags as PixelFormat and Colour.

A *working format* has one plane for each component, 8 to 16 bits in native little-endian words:
such planes can be viewed as 2-D arrays without a copy. Every other integer format has a working
format that holds all of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import av
import numpy as np
from av.buffer import Buffer
from av.sidedata.sidedata import Type

from facepipe.datatypes import Colour, ColourModel, Matrix, PixelFormat, Plane
from facepipe.errors import InputError

# H.273 code points, as libavutil numbers them
RGB_MATRIX, BT709_MATRIX, UNSPECIFIED = 0, 1, 2
SMPTE170M_MATRIX = 6
LIMITED_RANGE, FULL_RANGE = 1, 2

_MATRICES: dict[int, Matrix] = {
    1: "bt709",
    4: "bt601",
    5: "bt601",
    6: "bt601",
    7: "bt709",  # SMPTE 240M is within one per cent of it
    9: "bt2020",
    10: "bt2020",
}
_SUBSAMPLING = {(0, 0): "444", (1, 0): "422", (1, 1): "420", (0, 1): "440", (2, 0): "411"}
_DEPTHS = (8, 9, 10, 12, 14, 16)


@cache
def pixel_format(name: str) -> PixelFormat:
    """Describe a pixel format by FFmpeg's name; InputError when facepipe cannot read it."""
    try:
        described = av.VideoFormat(name, 64, 64)
    except ValueError as error:
        raise InputError(f"unknown pixel format {name!r}") from error
    parts = described.components
    alpha = any(part.is_alpha for part in parts) and not described.has_palette
    colours = len(parts) - alpha
    rgb = described.is_rgb or described.has_palette
    bits = max((part.bits for part in parts), default=0)
    if not _is_readable(described, colours, bits):
        raise InputError(
            f"pixel format {name} is not supported: facepipe takes yuv, rgb and gray "
            "with integer components of at most 16 bits"
        )
    model = "rgb" if rgb else "gray" if colours == 1 else "yuv"
    shift_x = shift_y = 0
    if model == "yuv":
        shift_x = (64 // described.chroma_width(64)).bit_length() - 1
        shift_y = (64 // described.chroma_height(64)).bit_length() - 1
    return PixelFormat(name, model, max(bits, 8), shift_x, shift_y, alpha)  # type: ignore[arg-type]


def _is_readable(described: av.VideoFormat, colours: int, bits: int) -> bool:
    """Whether it is yuv, rgb or gray with integer components of at most 16 bits."""
    name = described.name
    known = colours in (1, 3) and not described.is_bayer and not name.startswith("xyz")
    return known and bits <= 16 and "f16" not in name and "f32" not in name


def is_working(name: str) -> bool:
    """Whether planes of this format are 2-D arrays as they stand."""
    described = av.VideoFormat(name, 64, 64)
    parts = described.components
    return (
        len({part.plane for part in parts}) == len(parts)
        and all(8 <= part.bits <= 16 for part in parts)
        and not (described.is_big_endian and parts[0].bits > 8)
        and not described.has_palette
        and "msb" not in name
        and pixel_format(name).name == name
    )


def working_format(name: str) -> PixelFormat:
    """The format itself if it is a working one, else the smallest that holds all of it."""
    source = pixel_format(name)
    if is_working(name):
        return source
    planar = _planar(source)
    if planar is None:
        raise InputError(f"pixel format {name} has no planar form that facepipe can read")
    return planar


def common_format(names: Sequence[str]) -> str:
    """A format that holds all that each of these does; the first one where there is none.

    YUV and RGB have none: what is not of the first one's model is converted.
    """
    first = names[0]
    if all(same_layout(name, first) for name in names):
        return first if len(set(names)) == 1 else first.replace("yuvj", "yuv")
    formats = [pixel_format(name) for name in names]
    planar = _planar(_holding_all(first, formats))
    return first if planar is None else planar.name


def _holding_all(name: str, formats: Sequence[PixelFormat]) -> PixelFormat:
    """The properties that a format of all of these has to have."""
    models: list[ColourModel] = [one.model for one in formats if one.model != "gray"] or ["gray"]
    chroma = [one for one in formats if one.model == "yuv"]
    return PixelFormat(
        name,
        models[0],
        max(one.bits for one in formats),
        min((one.shift_x for one in chroma), default=0),
        min((one.shift_y for one in chroma), default=0),
        any(one.alpha for one in formats),
    )


def _planar(source: PixelFormat) -> PixelFormat | None:
    """The smallest format with a plane for each component that holds all of `source`."""
    letter = "a" if source.alpha else ""
    if source.model == "rgb":
        stem = f"gbr{letter}p"
    elif source.model == "gray" and not source.alpha:
        stem = "gray"
    else:  # gray with alpha has no planar form of its own; neutral chroma adds nothing to it
        shifts = (source.shift_x, source.shift_y)
        stem = f"yuv{letter}{_SUBSAMPLING.get(shifts, '444')}p"
    for bits in _DEPTHS:
        candidate = stem if bits == 8 else f"{stem}{bits}le"
        if bits >= source.bits and _exists(candidate):
            return pixel_format(candidate)
    return None


def same_layout(one: str, other: str) -> bool:
    """Whether two formats differ in the range their name implies (yuvj420p, yuv420p) alone."""
    return one.replace("yuvj", "yuv") == other.replace("yuvj", "yuv")


def views(frame: av.VideoFrame) -> tuple[Plane, ...]:
    """Read-only views of a working-format frame's planes, in logical order, without a copy."""
    planes = frame.planes
    return tuple(_view(planes[part.plane], part.bits) for part in frame.format.components)


def writable_views(frame: av.VideoFrame) -> tuple[Plane, ...]:
    """The same planes to be written to: only for a frame whose buffers nobody else holds."""
    planes = frame.planes
    parts = frame.format.components
    return tuple(_view(planes[part.plane], part.bits, writable=True) for part in parts)


def colour_of(frame: av.VideoFrame) -> Colour:
    """What a frame's code values mean, guessed by the usual rules where a tag is missing."""
    rgb = frame.format.is_rgb
    full = frame.color_range == FULL_RANGE or frame.format.name.startswith("yuvj")
    guess: Matrix = "bt601" if frame.height < 720 else "bt709"
    return Colour(matrix_of(int(frame.colorspace)) or guess, full or rgb)


def matrix_of(tag: int) -> Matrix | None:
    """The matrix of YUV that H.273 numbers so; None where it is open, of RGB, or rare."""
    return _MATRICES.get(tag)


def _view(plane: av.video.plane.VideoPlane, bits: int, writable: bool = False) -> Plane:
    buffer = memoryview(plane)
    words: Plane
    words = np.frombuffer(buffer, np.uint8) if bits == 8 else np.frombuffer(buffer, np.uint16)
    rows = words.reshape(plane.height, -1)[:, : plane.width]
    if plane.line_size < 0:  # stored bottom row first
        rows = rows[::-1]
    if not writable:
        rows.setflags(write=False)
    return rows


def _exists(name: str) -> bool:
    try:
        av.VideoFormat(name)
    except ValueError:
        return False
    return True


def side_data(frame: av.VideoFrame, kind: Type) -> bytes:
    """A frame's side data of one kind, empty where it has none."""
    found: Mapping[object, Buffer] = frame.side_data  # type: ignore[assignment]
    return bytes(found[kind]) if kind in found else b""
