"""PyAV's video frames (images) as Frames, and Frames as images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np

from facepipe.datatypes import Frame, PixelFormat, Plane
from facepipe.video.pixel_formats import (
    colour_of,
    pixel_format,
    views,
    working_format,
    writable_views,
)

VideoImage = av.VideoFrame
#: Side of an image that carries tags and side data, in px: whole pixels of all chroma.
_CARRIER_SIDE = 16


def frame_of(image: av.VideoFrame, pts: int, format: PixelFormat) -> tuple[Frame, bool]:
    """The Frame of an image that has that working format, and whether its values had to be cut.

    Its planes are read-only views. Values above what the format's bits can say are cut: x264 ends
    the process at them, and FFmpeg fills what damage took from a frame with bytes of 128, in words
    of 9 to 15 bits too.
    """
    frame = Frame(
        pts=pts, format=format, colour=colour_of(image), planes=views(image), handle=image
    )
    if format.bits % 8 == 0:
        return frame, False
    most = (1 << format.bits) - 1
    if all(plane.max(initial=0) <= most for plane in frame.planes):
        return frame, False
    cut = tuple(np.minimum(plane, most) for plane in frame.planes)
    return frame.with_planes(cut), True


def planar(image: av.VideoFrame, format: PixelFormat) -> av.VideoFrame:
    """The image in a working format that holds all of it."""
    if image.format.name == format.name:
        return image
    # Without a range or matrix asked for, a change of layout leaves every value as it is.
    return image.reformat(format=format.name, interpolation="BICUBIC", threads=1)


def image_of(frame: Frame, pix_fmt: str, *, source_height: int) -> av.VideoFrame:
    """The frame as PyAV has it, in that pixel format: its handle if nothing in it was changed.

    `source_height` is that of the source's frames, by which a matrix is guessed where RGB has to
    become YUV.
    """
    handle = frame.handle if isinstance(frame.handle, av.VideoFrame) else None
    if handle is not None and handle.format.name == pix_fmt and _untouched(frame, handle):
        return handle
    layout = frame.format.name
    if layout.replace("yuvj", "yuv") == pix_fmt.replace("yuvj", "yuv"):
        layout = pix_fmt
    fresh = blank(handle, frame.width, frame.height, layout)
    for plane, pixels in zip(writable_views(fresh), frame.planes, strict=True):
        plane[...] = pixels
    if layout == pix_fmt:
        return fresh
    return _converted(fresh, pix_fmt, rgb=frame.format.model == "rgb", source_height=source_height)


def _converted(
    fresh: av.VideoFrame, pix_fmt: str, *, rgb: bool, source_height: int
) -> av.VideoFrame:
    """The frame in another pixel format; `rgb` says whether it is in RGB now."""
    to_yuv = rgb and pixel_format(pix_fmt).model != "rgb"
    matrix = ("ITU601" if source_height < 720 else "ITU709") if to_yuv else None
    return fresh.reformat(
        format=pix_fmt,
        dst_colorspace=matrix,
        dst_color_range="MPEG" if to_yuv else None,
        interpolation="BICUBIC",
        threads=1,
    )


def _untouched(frame: Frame, handle: av.VideoFrame) -> bool:
    # The handle keeps its buffers alive, so equal addresses are the same pixels.
    own = views(handle)
    return len(own) == len(frame.planes) and all(
        mine.shape == theirs.shape
        and mine.strides == theirs.strides
        and mine.ctypes.data == theirs.ctypes.data
        for mine, theirs in zip(own, frame.planes, strict=True)
    )


def blank(handle: av.VideoFrame | None, width: int, height: int, layout: str) -> av.VideoFrame:
    """An image with buffers of its own and the handle's tags; its pixels are to be filled.

    Side data and field flags of the handle are kept too.
    """
    if handle is not None and (handle.interlaced_frame or has_side_data(handle)):
        # Field flags and side data (closed captions) can only be had by a conversion. Asking for
        # another matrix forces one where size and format are the same; the pixels do not matter.
        fresh = handle.reformat(
            width,
            height,
            layout,
            src_colorspace="ITU601",
            dst_colorspace="ITU709",
            interpolation="POINT",
            threads=1,
        )
        if fresh is not handle:
            _copy_tags(handle, fresh)
            return fresh
    fresh = av.VideoFrame(width, height, layout)
    if handle is not None:
        _copy_tags(handle, fresh)
    return fresh


def is_exact(pix_fmt: str) -> bool:
    """Whether what becomes of a pixel format's frames can be written in it again, exactly."""
    described = av.VideoFormat(pix_fmt, 64, 64)
    parts = described.components
    return not described.has_palette and {part.bits for part in parts} == {
        working_format(pix_fmt).bits
    }


def has_side_data(image: av.VideoFrame) -> bool:
    """Whether an image has side data.

    In PyAV, an image whose side data was asked for lies in a cycle, and keeps its pixels until the
    collector comes by. So a tiny copy is asked.
    """
    return len(_tiny(image).side_data) > 0


def rotation_of(image: av.VideoFrame) -> int:
    """Degrees counter-clockwise by which an image is turned when it is shown, 0 to 359."""
    return int(_tiny(image).rotation) % 360


def _tiny(image: av.VideoFrame) -> av.VideoFrame:
    """A tiny image with the side data of one."""
    return image.reformat(_CARRIER_SIDE, _CARRIER_SIDE, interpolation="POINT", threads=1)


def carrier(image: av.VideoFrame) -> tuple[av.VideoFrame, tuple[object, ...] | None]:
    """A tiny image with the tags and side data of one, and what else is the same in others.

    That is None where the image has side data or fields, and so may be like no other.
    """
    small = _tiny(image)
    _copy_tags(image, small)
    if len(small.side_data) or image.interlaced_frame:
        return small, None
    tags = (image.color_range, image.colorspace, image.color_primaries, image.color_trc)
    return small, (*tags, image.key_frame)


def filled(
    small: av.VideoFrame,
    planes: Sequence[Plane],
    format: PixelFormat,
    pix_fmt: str,
    *,
    source_height: int,
) -> av.VideoFrame:
    """An image of `pix_fmt` with these planes of a working format, and all else of a carrier."""
    frame = Frame(pts=0, format=format, colour=colour_of(small), planes=tuple(planes))
    return image_of(replace(frame, handle=small), pix_fmt, source_height=source_height)


def set_time(image: av.VideoFrame, pts: int | None, time_base: Fraction | None) -> av.VideoFrame:
    """The image, shown at `pts`; None: it has no time."""
    image.pts = pts
    if time_base is not None:
        image.time_base = time_base
    return image


def _copy_tags(source: av.VideoFrame, target: av.VideoFrame) -> None:
    target.color_range = source.color_range
    target.colorspace = source.colorspace
    target.color_primaries = source.color_primaries
    target.color_trc = source.color_trc
