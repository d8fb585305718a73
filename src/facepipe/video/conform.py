"""Convert frames whose size, pixel format or colour is not that of the video's first frame."""

from __future__ import annotations

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
    working_format,
)

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


def conformed(frame: av.VideoFrame, info: VideoInfo) -> tuple[av.VideoFrame, tuple[str, ...]]:
    """The frame with the size, format and colour of the video's first one, and what was changed.

    Most frames have them already, and come back as they are. Another size is resampled, another
    range or matrix converted; of other primaries or another transfer the tag alone is changed.
    """
    changes: list[str] = []
    resized = (frame.width, frame.height) != (info.width, info.height)
    if resized:
        changes.append(
            f"are of {frame.width}x{frame.height} and were scaled to {info.width}x{info.height}"
        )
    reshaped = not same_layout(frame.format.name, info.pix_fmt)
    if reshaped:
        changes.append(f"are {frame.format.name} and were converted to {info.pix_fmt}")
    recoloured = _differs_in_colour(frame, info)
    if recoloured:
        changes.append("are coloured otherwise and were converted to the video's first colours")
    elif _differs_in_tags(frame, info):
        changes.append("are tagged with other colours than the video's first, which is not kept")
    if resized or reshaped or recoloured:
        frame = _converted(frame, info, recoloured)
    if tags_of(frame) != info.tags:
        frame.color_range, frame.colorspace = info.tags[:2]
        frame.color_primaries, frame.color_trc = info.tags[2:]
    return frame, tuple(changes)


def _differs_in_colour(frame: av.VideoFrame, info: VideoInfo) -> bool:
    """Whether the same values would be another colour, as far as both are tagged."""
    models = {pixel_format(name).model for name in (frame.format.name, info.pix_fmt)}
    if models != {"yuv"}:
        return len(models) > 1
    if _is_full(frame.format.name, int(frame.color_range)) != _is_full(info.pix_fmt, info.tags[0]):
        return True
    matrices = matrix_of(int(frame.colorspace)), matrix_of(info.tags[1])
    return None not in matrices and matrices[0] != matrices[1]


def _is_full(pix_fmt: str, tagged: int) -> bool:
    return tagged == FULL_RANGE or pix_fmt.startswith("yuvj")


def _differs_in_tags(frame: av.VideoFrame, info: VideoInfo) -> bool:
    given = zip(tags_of(frame)[2:], info.tags[2:], strict=True)
    return any(own not in (UNSPECIFIED, first) for own, first in given)


def _converted(frame: av.VideoFrame, info: VideoInfo, recoloured: bool) -> av.VideoFrame:
    target = working_format(info.pix_fmt).name.replace("yuvj", "yuv")
    if not recoloured:
        # Without a range or matrix asked for, a change of layout leaves every value as it is.
        return frame.reformat(info.width, info.height, target, interpolation="BICUBIC", threads=1)
    source = frame
    if source.format.name.startswith("yuvj"):
        source = source.reformat(format=source.format.name.replace("yuvj", "yuv"), threads=1)
    guess: Matrix = "bt601" if info.height < 720 else "bt709"
    own = matrix_of(int(frame.colorspace)) or guess
    first = matrix_of(info.tags[1]) or guess
    return source.reformat(
        info.width,
        info.height,
        target,
        src_colorspace=_COLOURSPACES[own],
        dst_colorspace=_COLOURSPACES[first],
        src_color_range=_range(frame.format.name, int(frame.color_range)),
        dst_color_range=_range(info.pix_fmt, info.tags[0]),
        interpolation="BICUBIC",
        threads=1,
    )


def _range(pix_fmt: str, tagged: int) -> ColorRange:
    full = _is_full(pix_fmt, tagged) or pixel_format(pix_fmt).model == "rgb"
    return ColorRange(FULL_RANGE if full else LIMITED_RANGE)
