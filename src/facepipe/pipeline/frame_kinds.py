"""Kinds of frames that a program may hold: each as a Frame, and a Frame as that kind again.

A kind is made of the first frame; all others must have its shape. Nothing is copied that is not
changed: what comes back of a frame in which nothing was changed is the frame that was given.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Literal, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from facepipe.datatypes import Colour, Frame, PixelFormat, Plane
from facepipe.errors import InputError
from facepipe.video.images import (
    VideoImage,
    carrier,
    filled,
    frame_of,
    image_of,
    is_exact,
    planar,
    rotation_of,
    set_time,
)
from facepipe.video.pixel_formats import working_format

Channels = Literal["rgb", "bgr"]
_ALLOWED = (
    "facepipe takes NumPy arrays of H x W x 3 (or H x W, or H x W x 4 with alpha), PyTorch tensors "
    "of 3 x H x W or H x W x 3, both of uint8 or uint16, and PyAV's video frames"
)


@dataclass(frozen=True, eq=False)
class _Held:
    """What a Frame's handle keeps: the frame that was given, and the planes that it had.

    `image` is a PyAV frame in the planes' own format.
    """

    given: Any
    planes: tuple[Plane, ...]
    image: VideoImage | None = None

    def is_unchanged(self, frame: Frame) -> bool:
        """Whether a Frame made of this one still has its planes."""
        return len(frame.planes) == len(self.planes) and all(
            mine is theirs for mine, theirs in zip(frame.planes, self.planes, strict=True)
        )


class Kind(Protocol):
    """How frames of one kind, size and format are read and made.

    `time_base` is that of the frames' own times, None: they have none. `rotation` is in degrees
    counter-clockwise, by which a frame is turned when it is shown.
    """

    width: int
    height: int
    format: PixelFormat
    rotation: int
    time_base: Fraction | None

    def check(self, given: Any, number: int) -> None:
        """Raise InputError where frame `number` is not like the first one."""
        ...

    def pts(self, given: Any) -> int | None:
        """The frame's own time; None: it has none."""
        ...

    def is_keyframe(self, given: Any) -> bool: ...

    def frame(self, given: Any, pts: int, *, contiguous: bool = True) -> Frame:
        """The Frame of what was given. Planes that are not `contiguous` cost no copy."""
        ...

    def given(self, frame: Frame) -> Any:
        """The Frame as the kind that was given, which it was made of."""
        ...

    def packed(self, given: Any) -> tuple[list[NDArray[Any]], object]:
        """The pixels as arrays whose shapes are the same in all frames, and what else is kept."""
        ...

    def unpacked(self, arrays: Sequence[NDArray[Any]], rest: object) -> Any:
        """What `packed` took apart."""
        ...


def kind_of(first: object, channels: Channels) -> Kind:
    """The kind of a stream by its first frame. Raises InputError where facepipe takes none such."""
    if isinstance(first, np.ndarray):
        return ArrayKind(first, channels)
    torch = sys.modules.get("torch")  # who gives a tensor has imported it
    if torch is not None and isinstance(first, torch.Tensor):
        return TensorKind(first, channels)
    if isinstance(first, VideoImage):
        return ImageKind(first)
    raise InputError(f"a frame is of type {type(first).__qualname__}; {_ALLOWED}")


def is_one_frame(given: object) -> bool:
    """Whether this is a frame by itself, and not a sequence of frames."""
    if isinstance(given, VideoImage):
        return True
    torch = sys.modules.get("torch")
    if isinstance(given, np.ndarray) or (torch is not None and isinstance(given, torch.Tensor)):
        return given.ndim < 4
    return False


class ArrayKind:
    """NumPy arrays: H x W x 3, H x W x 4 with alpha, or H x W of grey; uint8 or uint16."""

    rotation = 0
    time_base: Fraction | None = None

    def __init__(self, first: NDArray[Any], channels: Channels) -> None:
        if first.dtype not in (np.uint8, np.uint16) or not _is_picture(first.shape):
            raise InputError(f"a frame is an array of {_shape(first)}; {_ALLOWED}")
        self._shape, self._dtype = first.shape, first.dtype
        self.height, self.width = first.shape[:2]
        count = 1 if first.ndim == 2 else first.shape[2]
        # Planes are in the order R, G, B, A.
        self._order = [2, 1, 0, 3][:count] if channels == "bgr" and count > 1 else range(count)
        self.format = _pixel_format(count, 8 if first.dtype == np.uint8 else 16)

    def check(self, given: Any, number: int) -> None:
        like = isinstance(given, np.ndarray) and given.shape == self._shape
        if not like or given.dtype != self._dtype:
            what = f"an array of {_shape(given)}" if isinstance(given, np.ndarray) else type(given)
            raise InputError(
                f"frame {number} is {what}, and the first one an array of "
                f"{_joined(self._shape)} of {self._dtype}; all must be alike"
            )

    def pts(self, given: Any) -> int | None:  # noqa: ARG002
        return None

    def is_keyframe(self, given: Any) -> bool:  # noqa: ARG002
        return True

    def frame(self, given: Any, pts: int, *, contiguous: bool = True) -> Frame:
        if given.ndim == 2:
            planes = [given]
        elif contiguous:
            planes = list(cv2.split(given))
        else:
            planes = [given[..., k] for k in range(given.shape[2])]
        return _frame(given, pts, self.format, [planes[k] for k in self._order])

    def given(self, frame: Frame) -> Any:
        held = _held(frame)
        if held.is_unchanged(frame):
            return held.given
        if len(frame.planes) == 1:
            return frame.planes[0]
        return np.asarray(cv2.merge([frame.planes[k] for k in self._order]))

    def packed(self, given: Any) -> tuple[list[NDArray[Any]], object]:
        return [np.ascontiguousarray(given)], None

    def unpacked(self, arrays: Sequence[NDArray[Any]], rest: object) -> Any:  # noqa: ARG002
        return arrays[0]


class TensorKind:
    """PyTorch tensors of any device: 3 x H x W or H x W x 3, uint8 or uint16.

    What comes back is on the device of what was given. On the CPU, memory is shared.
    """

    rotation = 0
    time_base: Fraction | None = None

    def __init__(self, first: Any, channels: Channels) -> None:
        self._torch = sys.modules["torch"]
        shape, dtype = tuple(first.shape), str(first.dtype).removeprefix("torch.")
        self._planar = len(shape) == 3 and shape[0] == 3
        picture = (*shape[1:], 3) if self._planar else shape
        is_rgb = len(shape) == 3 and picture[2] == 3 and _is_picture(picture)
        if dtype not in ("uint8", "uint16") or not is_rgb:
            raise InputError(f"a frame is a tensor of {_joined(shape)} of {dtype}; {_ALLOWED}")
        self._shape, self._dtype = shape, first.dtype
        self.height, self.width = picture[:2]
        self.format = _pixel_format(3, 8 if dtype == "uint8" else 16)
        self._order = [2, 1, 0] if channels == "bgr" else [0, 1, 2]

    def check(self, given: Any, number: int) -> None:
        like = isinstance(given, self._torch.Tensor) and tuple(given.shape) == self._shape
        if not like or given.dtype != self._dtype:
            shape = _joined(getattr(given, "shape", ()))
            raise InputError(
                f"frame {number} is a {type(given).__qualname__} of {shape}, and the first one a "
                f"tensor of {_joined(self._shape)} of {self._dtype}; all must be alike"
            )

    def pts(self, given: Any) -> int | None:  # noqa: ARG002
        return None

    def is_keyframe(self, given: Any) -> bool:  # noqa: ARG002
        return True

    def frame(self, given: Any, pts: int, *, contiguous: bool = True) -> Frame:
        pixels = given.detach().cpu().numpy()
        if not self._planar:
            pixels = cv2.split(pixels) if contiguous else np.moveaxis(pixels, 2, 0)
        return _frame(given, pts, self.format, [pixels[k] for k in self._order])

    def given(self, frame: Frame) -> Any:
        held = _held(frame)
        if held.is_unchanged(frame):
            return held.given
        planes = [frame.planes[k] for k in self._order]
        pixels = np.stack(planes) if self._planar else np.asarray(cv2.merge(planes))
        return self._torch.from_numpy(pixels).to(held.given.device)

    def packed(self, given: Any) -> tuple[list[NDArray[Any]], object]:
        return [np.ascontiguousarray(given.detach().cpu().numpy())], given.device

    def unpacked(self, arrays: Sequence[NDArray[Any]], rest: object) -> Any:
        return self._torch.from_numpy(arrays[0]).to(rest)


class ImageKind:
    """PyAV's video frames, in their own pixel format and with their tags and side data."""

    def __init__(self, first: VideoImage) -> None:
        name = first.format.name
        self.format = working_format(name)
        if not is_exact(name):
            raise InputError(
                f"a frame is in pixel format {name}, which cannot be written again as it is; "
                "reformat it to yuv420p or rgb24 before"
            )
        self._name = name
        self.width, self.height, self.rotation = first.width, first.height, rotation_of(first)
        self.time_base = first.time_base if first.pts is not None else None
        self._carriers: dict[object, VideoImage] = {}

    def check(self, given: Any, number: int) -> None:
        if not isinstance(given, VideoImage):
            raise InputError(
                f"frame {number} is a {type(given).__qualname__}, and the first one a video frame "
                "of PyAV; all must be alike"
            )
        own, first = (
            (image.width, image.height, name)
            for image, name in ((given, given.format.name), (self, self._name))
        )
        if own != first:
            raise InputError(
                f"frame {number} has {own[0]}x{own[1]} px of {own[2]}, and the first one "
                f"{first[0]}x{first[1]} of {first[2]}; all must be alike, reformat them before"
            )
        timed = given.pts is not None and given.time_base
        if (given.time_base if timed else None) != self.time_base:
            raise InputError(
                f"frame {number} has the time base {given.time_base} and the pts {given.pts}, and "
                f"the first one the time base {self.time_base}; all need times, or none"
            )

    def pts(self, given: Any) -> int | None:
        return given.pts if self.time_base else None

    def is_keyframe(self, given: Any) -> bool:
        return bool(given.key_frame)

    def frame(self, given: Any, pts: int, *, contiguous: bool = True) -> Frame:  # noqa: ARG002
        image = planar(given, self.format)
        frame, _ = frame_of(image, pts, self.format)
        return replace(frame, handle=_Held(given, frame.planes, image))

    def given(self, frame: Frame) -> Any:
        held = _held(frame)
        if held.is_unchanged(frame):
            return held.given
        image = replace(frame, handle=held.image)
        made = image_of(image, self._name, source_height=self.height)
        return set_time(made, held.given.pts, held.given.time_base)

    def packed(self, given: Any) -> tuple[list[NDArray[Any]], object]:
        frame = self.frame(given, 0)
        small, key = carrier(given)
        if key is not None:  # one for all frames with these tags, which have nothing else
            small = self._carriers.setdefault(key, small)
        planes = [np.ascontiguousarray(plane) for plane in frame.planes]
        return planes, (small, given.pts, given.time_base)

    def unpacked(self, arrays: Sequence[NDArray[Any]], rest: object) -> Any:
        assert isinstance(rest, tuple)
        small, pts, time_base = rest
        image = filled(small, arrays, self.format, self._name, source_height=self.height)
        return set_time(image, pts, time_base)


def _frame(given: Any, pts: int, format: PixelFormat, planes: Sequence[Plane]) -> Frame:
    held = tuple(planes)
    return Frame(
        pts=pts,
        format=format,
        colour=Colour(full_range=True),
        planes=held,
        handle=_Held(given, held),
    )


def _held(frame: Frame) -> _Held:
    assert isinstance(frame.handle, _Held)
    return frame.handle


def _pixel_format(count: int, bits: int) -> PixelFormat:
    depth = "" if bits == 8 else f"{bits}le"
    if count == 1:
        return PixelFormat(f"gray{depth}", "gray", bits)
    return PixelFormat(f"gbr{'a' if count == 4 else ''}p{depth}", "rgb", bits, alpha=count == 4)


def _is_picture(shape: Sequence[int]) -> bool:
    return (len(shape) == 2 or (len(shape) == 3 and shape[2] in (3, 4))) and min(shape[:2]) > 0


def _shape(array: NDArray[Any]) -> str:
    return f"{_joined(array.shape)} of {array.dtype}"


def _joined(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape)) or "no dimension"
