"""Each kind of frame becomes a Frame and is made of one again, exactly."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from av.sidedata.sidedata import Type
from numpy.typing import NDArray

from facepipe.pipeline.frame_kinds import is_one_frame, kind_of
from facepipe.pipeline.spool import Spool, SpoolSettings
from media import portraits

WIDTH, HEIGHT = 38, 26
RNG = np.random.default_rng(3)


def pixels(count: int, dtype: Any = np.uint8) -> NDArray[Any]:
    shape = (HEIGHT, WIDTH) if count == 1 else (HEIGHT, WIDTH, count)
    return RNG.integers(0, np.iinfo(dtype).max + 1, shape, dtype)


def image(name: str) -> av.VideoFrame:
    whole = av.VideoFrame.from_ndarray(pixels(3), format="rgb24").reformat(format=name)
    whole.color_range, whole.colorspace = 1, 6
    whole.pts, whole.time_base = 7, Fraction(1, 90000)
    return whole


ARRAYS = [pixels(3), pixels(4), pixels(1), pixels(3, np.uint16)]
TENSORS = [
    torch.from_numpy(pixels(3)),
    torch.from_numpy(pixels(3)).permute(2, 0, 1),
    torch.from_numpy(pixels(3, np.uint16)),
]
IMAGES = [
    image(name)
    for name in (
        "yuv420p", "yuv444p10le", "nv12", "p010le", "rgb24", "bgr24", "gbrp", "rgba", "gray",
        "yuvj420p", "uyvy422", "rgb48le", "bgr0",
    )
]  # fmt: skip


def values(given: Any) -> NDArray[Any]:
    if not isinstance(given, av.VideoFrame):
        return np.asarray(given)
    planes = kind_of(given, "rgb").frame(given, 0).planes
    return np.concatenate([plane.ravel() for plane in planes])


def name_of(given: Any) -> str:
    if isinstance(given, av.VideoFrame):
        return str(given.format.name)
    return f"{type(given).__name__} {tuple(given.shape)} {given.dtype}"


@pytest.mark.parametrize("given", [*ARRAYS, *TENSORS, *IMAGES], ids=name_of)
@pytest.mark.parametrize("channels", ["rgb", "bgr"])
def test_a_kind_gives_back_what_was_given_and_what_was_made_of_it(
    given: Any, channels: Any, tmp_path: Path
) -> None:
    kind = kind_of(given, channels)
    kind.check(given, 0)
    assert (kind.width, kind.height) == (WIDTH, HEIGHT)
    frame = kind.frame(given, 5)
    assert (frame.pts, frame.width, frame.height) == (5, WIDTH, HEIGHT)
    assert kind.given(frame) is given
    assert kind.given(kind.frame(given, 5, contiguous=False)) is given

    again = kind.given(frame.with_planes(tuple(plane.copy() for plane in frame.planes)))
    assert again is not given
    assert name_of(again) == name_of(given)
    assert np.array_equal(values(again), values(given))

    spool = Spool(SpoolSettings(tmp_path))
    arrays, rest = kind.packed(given)
    spool.append(arrays)
    spool.append([np.zeros_like(array) for array in arrays])
    kept = kind.unpacked(spool.read(0), rest)
    assert np.array_equal(values(kept), values(given))
    kind.check(kept, 1)
    assert kind.pts(kept) == kind.pts(given) == (7 if isinstance(given, av.VideoFrame) else None)
    spool.close()


@pytest.mark.parametrize("given", [ARRAYS[0], TENSORS[0], TENSORS[1]], ids=name_of)
def test_planes_are_in_the_order_of_the_colours(given: Any) -> None:
    colours = [np.asarray(given)[..., k] for k in range(3)]
    if given is TENSORS[1]:
        colours = list(np.asarray(given))
    for channels, order in (("rgb", (0, 1, 2)), ("bgr", (2, 1, 0))):
        kind = kind_of(given, channels)  # type: ignore[arg-type]
        for contiguous in (True, False):
            planes = kind.frame(given, 0, contiguous=contiguous).planes
            assert all(
                np.array_equal(plane, colours[k]) for plane, k in zip(planes, order, strict=True)
            )


def test_planes_that_nobody_works_on_are_views() -> None:
    for given in (ARRAYS[0], TENSORS[0], TENSORS[1]):
        frame = kind_of(given, "rgb").frame(given, 0, contiguous=False)
        assert all(np.shares_memory(plane, np.asarray(given)) for plane in frame.planes)
    frame = kind_of(IMAGES[0], "rgb").frame(IMAGES[0], 0)
    assert np.shares_memory(frame.planes[0], np.frombuffer(memoryview(IMAGES[0].planes[0]), "u1"))


@pytest.mark.parametrize("kept", [False, True])
def test_tags_and_side_data_stay_with_an_image(kept: bool, tmp_path: Path) -> None:
    with av.open(str(portraits.hdr_video(tmp_path / "hdr.mp4"))) as container:
        given = next(container.decode(video=0))
    assert Type.MASTERING_DISPLAY_METADATA in given.side_data
    kind = kind_of(given, "rgb")
    if kept:
        arrays, rest = kind.packed(given)
        made = kind.unpacked(arrays, rest)
    else:
        frame = kind.frame(given, 0)
        made = kind.given(frame.with_planes(tuple(plane.copy() for plane in frame.planes)))
    assert made is not given
    assert np.array_equal(made.to_ndarray(), given.to_ndarray())
    assert bytes(made.side_data[Type.MASTERING_DISPLAY_METADATA]) == bytes(
        given.side_data[Type.MASTERING_DISPLAY_METADATA]
    )
    tags = ("pts", "time_base", "color_range", "colorspace", "color_primaries", "color_trc")
    assert all(getattr(made, name) == getattr(given, name) for name in tags)


def test_rotation_is_that_of_an_image(tmp_path: Path) -> None:
    with av.open(str(portraits.rotated_video(tmp_path / "lying.mp4"))) as container:
        given = next(container.decode(video=0))
    assert kind_of(given, "rgb").rotation == 90
    assert kind_of(ARRAYS[0], "rgb").rotation == 0


def test_one_frame_is_told_from_many() -> None:
    for one in (*ARRAYS, *TENSORS, IMAGES[0]):
        assert is_one_frame(one)
    for many in ([ARRAYS[0]], np.stack([ARRAYS[0]]), torch.stack([TENSORS[0]]), iter(())):
        assert not is_one_frame(many)
