"""Convert frames whose size, pixel format or colour is not that in which the video is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import av
from av.video.reformatter import ColorRange, Colorspace

from facepipe.datatypes import Matrix, VideoInfo
from facepipe.video.bitstream import is_parameter_set, is_random_access, nal_length_size, nal_units
from facepipe.video.headers import HeaderScan
from facepipe.video.pixel_formats import (
    FULL_RANGE,
    LIMITED_RANGE,
    UNSPECIFIED,
    matrix_of,
    pixel_format,
    same_layout,
    views,
    working_format,
    writable_views,
)
from facepipe.video.shape import fitted_size, form_at

_SEQUENCE = b"\x00\x00\x01\xb3"  # begins a sequence header of MPEG-1 and 2
_COLOURSPACES: dict[Matrix, Colorspace] = {
    "bt601": Colorspace.ITU601,
    "bt709": Colorspace.ITU709,
    "bt2020": Colorspace.BT2020,
}


class ParameterSetTracker:
    """Notices where a video goes on with another header, or other parameter sets, than before.

    Of MPEG-2 that is another size in its sequence header.
    """

    def __init__(self, codec: str, extradata: bytes) -> None:
        self._codec = codec
        self._headers = HeaderScan(extradata)
        self._nal_length_size = nal_length_size(codec, extradata)
        self._last: tuple[bytes, ...] | None = None

    @property
    def header(self) -> bytes:
        """The header in force."""
        return self._headers.header

    def has_new_header(self, packet: av.Packet[av.VideoStream]) -> bool:
        """Whether a packet brings another header than the one in force, beside its data."""
        if not self._headers.feed(packet):
            return False
        self._nal_length_size = nal_length_size(self._codec, self.header)
        self._last = None
        return True

    def has_changed(self, packet: av.Packet[av.VideoStream]) -> bool:
        """Whether a keyframe's packet brings other parameter sets than the last that did."""
        if not packet.is_keyframe:
            return False
        found: tuple[bytes, ...] = ()
        if self._codec in ("h264", "hevc"):
            data = bytes(packet)
            if is_random_access(self._codec, data, self._nal_length_size):
                units = nal_units(data, self._nal_length_size)
                found = tuple(unit for unit in units if is_parameter_set(self._codec, unit))
        elif self._codec in ("mpeg1video", "mpeg2video"):
            _, code, rest = bytes(packet).partition(_SEQUENCE)
            found = (rest[:3],) if code else ()  # 12 bits of width, 12 of height
        if not found:
            return False
        last, self._last = self._last, found
        return last not in (None, found)


def tags_of(frame: av.VideoFrame) -> tuple[int, int, int, int]:
    """Range, matrix, primaries and transfer of a frame, by H.273's numbers."""
    return (
        int(frame.color_range),
        int(frame.colorspace),
        int(frame.color_primaries),
        int(frame.color_trc),
    )


def set_tags(frame: av.VideoFrame, tags: tuple[int, int, int, int]) -> None:
    """Tag a frame with range, matrix, primaries and transfer."""
    frame.color_range, frame.colorspace = tags[:2]
    frame.color_primaries, frame.color_trc = tags[2:]


def conformed(
    frame: av.VideoFrame, info: VideoInfo, pts: int
) -> tuple[av.VideoFrame, tuple[str, ...]]:
    """The frame of `pts` in the video's size, format and colour, and what was changed unforeseen.

    Most frames have them already, and come back as they are. Another size is resampled, with bars
    where its shape is another; another range or matrix is converted; of other primaries or another
    transfer the tag alone is changed. Frames of `info.forms` keep their tags where `info.own_tags`.
    """
    form = form_at(info, pts)
    if info.forms and info.own_tags:
        info = replace(info, tags=form.tags)
    size = frame.width, frame.height
    is_known = (*size, frame.format.name) == (form.width, form.height, form.pix_fmt)
    resized = size != (info.width, info.height)
    reshaped = not same_layout(frame.format.name, info.pix_fmt)
    recoloured = _differs_in_colour(frame, info)
    changes: tuple[str, ...] = ()
    if not is_known or tags_of(frame) != form.tags:  # others are reported before the work
        changes = tuple(_changes(frame, info, resized, reshaped, recoloured))
    if resized or reshaped or recoloured:
        aspect = form.sample_aspect_ratio if is_known else info.sample_aspect_ratio
        frame = _fitted(frame, info, aspect, recoloured)
    if tags_of(frame) != info.tags:
        set_tags(frame, info.tags)
    return frame, changes


def _fitted(
    frame: av.VideoFrame, info: VideoInfo, aspect: Fraction | None, recoloured: bool
) -> av.VideoFrame:
    """A frame whose pixels have that `aspect`, in the video's size and format."""
    size, whole = (frame.width, frame.height), (info.width, info.height)
    inner = size if size == whole else fitted_size(info, *size, aspect)
    scaled = _converted(frame, info, inner, recoloured)
    return scaled if inner == whole else _with_bars(scaled, frame, info)


def _changes(
    frame: av.VideoFrame, info: VideoInfo, resized: bool, reshaped: bool, recoloured: bool
) -> Iterator[str]:
    """What is changed of a frame, in words."""
    if resized:
        yield f"are of {frame.width}x{frame.height} and were scaled to {info.width}x{info.height}"
    if reshaped:
        yield f"are {frame.format.name} and were converted to {info.pix_fmt}"
    if recoloured:
        yield "are coloured otherwise and were converted to the video's first colours"
    elif _differs_in_tags(frame, info):
        yield "are tagged with other colours than the video's first, which is not kept"


def _differs_in_colour(frame: av.VideoFrame, info: VideoInfo) -> bool:
    """Whether the same values would be another colour, as far as both are tagged."""
    models = {pixel_format(name).model for name in (frame.format.name, info.pix_fmt)}
    if models != {"yuv"}:
        return len(models) > 1
    if _is_full(frame.format.name, int(frame.color_range)) != _is_full(info.pix_fmt, info.tags[0]):
        return True
    matrices = matrix_of(int(frame.colorspace)), matrix_of(info.tags[1])
    if matrices == (None, None):  # players guess by the height
        return _guess(frame.height) != _guess(info.height)
    return None not in matrices and matrices[0] != matrices[1]


def _guess(height: int) -> Matrix:
    return "bt601" if height < 720 else "bt709"


def _is_full(pix_fmt: str, tagged: int) -> bool:
    return tagged == FULL_RANGE or pix_fmt.startswith("yuvj")


def _differs_in_tags(frame: av.VideoFrame, info: VideoInfo) -> bool:
    given = zip(tags_of(frame)[2:], info.tags[2:], strict=True)
    return any(own not in (UNSPECIFIED, first) for own, first in given)


def _converted(
    frame: av.VideoFrame, info: VideoInfo, size: tuple[int, int], recoloured: bool
) -> av.VideoFrame:
    target = working_format(info.pix_fmt).name.replace("yuvj", "yuv")
    if not recoloured:
        # Without a range or matrix asked for, a change of layout leaves every value as it is.
        return frame.reformat(*size, target, interpolation="BICUBIC", threads=1)
    source = frame
    if source.format.name.startswith("yuvj"):
        source = source.reformat(format=source.format.name.replace("yuvj", "yuv"), threads=1)
    own = matrix_of(int(frame.colorspace)) or _guess(frame.height)
    first = matrix_of(info.tags[1]) or _guess(info.height)
    return source.reformat(
        *size,
        target,
        src_colorspace=_COLOURSPACES[own],
        dst_colorspace=_COLOURSPACES[first],
        src_color_range=_range(frame.format.name, int(frame.color_range)),
        dst_color_range=_range(info.pix_fmt, info.tags[0]),
        interpolation="BICUBIC",
        threads=1,
    )


def _with_bars(scaled: av.VideoFrame, frame: av.VideoFrame, info: VideoInfo) -> av.VideoFrame:
    """A frame of the video's size with `scaled` in its middle and black bars, opaque."""
    # The side data of `frame` can only be had by a conversion; the pixels do not matter.
    name = scaled.format.name
    whole = frame.reformat(info.width, info.height, name, interpolation="POINT", threads=1)
    format = pixel_format(name)
    left = (info.width - scaled.width) // 8 * 4
    top = (info.height - scaled.height) // 8 * 4
    black = 0 if _is_full(info.pix_fmt, info.tags[0]) else 16 << (format.bits - 8)
    most = (1 << format.bits) - 1
    yuv = (black, 1 << (format.bits - 1), 1 << (format.bits - 1), most)
    values = {"yuv": yuv, "rgb": (0, 0, 0, most), "gray": (black, most)}[format.model]
    planes = zip(writable_views(whole), views(scaled), values, strict=False)
    for number, (plane, pixels, value) in enumerate(planes):
        is_chroma = format.model == "yuv" and number in (1, 2)
        x, y = (left >> format.shift_x, top >> format.shift_y) if is_chroma else (left, top)
        plane[...] = value
        height, width = pixels.shape
        plane[y : y + height, x : x + width] = pixels
    return whole


def _range(pix_fmt: str, tagged: int) -> ColorRange:
    full = _is_full(pix_fmt, tagged) or pixel_format(pix_fmt).model == "rgb"
    return ColorRange(FULL_RANGE if full else LIMITED_RANGE)
