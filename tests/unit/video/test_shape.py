"""The shape of the result: of several sizes one, of several formats one that holds all."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from facepipe.datatypes import Form, VideoInfo
from facepipe.video import decode, probe
from facepipe.video.pixel_formats import common_format
from facepipe.video.shape import aspect_at, fitted_size, form_at, joints, shaped
from media import synthetic
from media.sections import Section, sectioned
from media.video_checks import whole

SDR, HDR = (1, 1, 1, 1), (1, 9, 9, 16)


def form(first: int, width: int, height: int, **how: object) -> Form:
    given = {"pix_fmt": "yuv420p", "tags": SDR, "sample_aspect_ratio": None} | how
    return Form(first=first, width=width, height=height, **given)  # type: ignore[arg-type]


def video(*forms: Form, frames: int = 100) -> VideoInfo:
    """A hundred frames, of 1/25 s each; a group of ten can be copied."""
    return VideoInfo(
        path="a.mkv", container="matroska,webm", stream_index=0, codec="h264",
        width=forms[0].width, height=forms[0].height, pix_fmt=forms[0].pix_fmt,
        time_base=Fraction(1, 25), pts=tuple(range(frames)),
        keyframe_pts=tuple(range(0, frames, 10)),
        rotation=0, sample_aspect_ratio=forms[0].sample_aspect_ratio, others=(),
        tags=forms[0].tags, forms=forms if len(forms) > 1 else (),
        closed_gops=tuple((n, n + 10) for n in range(0, frames, 10)),
    )  # fmt: skip


GROWN = video(form(0, 320, 180), form(20, 1280, 720), form(40, 640, 360))


@pytest.mark.parametrize(
    ("wanted", "size"),
    [
        ("largest", (1280, 720)),
        ("usual", (640, 360)),
        ("source", (320, 180)),
        ("800x600", (800, 600)),
    ],
)
def test_the_size_is_chosen_and_told(wanted: str, size: tuple[int, int]) -> None:
    made = shaped(GROWN, wanted)
    assert (made.width, made.height) == size
    (told,) = made.warnings
    assert told.startswith(
        "frames are 320x180, 1280x720 from 0.80 s on, 640x360 from 1.60 s on; all are written as "
        f"{size[0]}x{size[1]} (--size)"
    )
    assert ("with bars" in told) == (wanted == "800x600")


def test_frames_may_be_smaller_than_their_header_says() -> None:
    info = replace(video(form(0, 320, 180)), header_size=(640, 360))
    for wanted, width in (("largest", 640), ("source", 640), ("usual", 320)):
        assert shaped(info, wanted).width == width
    lying = replace(video(form(0, 320, 180)), header_size=(640, 480))
    assert shaped(lying, "largest") is lying
    info = replace(GROWN, header_size=(320, 180))
    assert shaped(info, "largest").width == 1280


def test_a_size_that_changes_between_keyframes(tmp_path: Path) -> None:
    """AV1 whose frames are smaller at random, as a call on a bad line."""
    options = {"svtav1-params": "lp=1:resize-mode=2"}
    section = Section(size=(320, 192), options=options)
    path = sectioned(tmp_path / "a.mkv", section, codec="libsvtav1")
    info = shaped(probe(path), "largest")
    assert (info.width, info.height) == (320, 192)
    frames = list(decode(info, whole(info)))
    assert {(f.width, f.height) for f in frames} == {(320, 192)}
    assert len({f.planes[0].tobytes() for f in frames}) == len(frames) == 10


def test_a_blink_is_no_size() -> None:
    info = video(form(0, 320, 180), form(50, 8192, 4096), form(52, 320, 180))
    assert shaped(info, "largest").width == 320
    assert shaped(info, "8192x4096").width == 8192


def test_a_video_of_one_form_stays_as_it_is() -> None:
    info = video(form(0, 320, 180))
    for wanted in ("largest", "usual", "source", "320x180"):
        assert shaped(info, wanted) is info
    assert (form_at(info, 50).width, joints(info)) == (320, ())
    assert shaped(info, "640x360").closed_gops == ()


def test_only_groups_as_the_first_and_as_the_result_are_copied() -> None:
    info = video(form(0, 640, 360), form(40, 320, 180), form(60, 640, 360))
    expected = tuple((n, n + 10) for n in (0, 10, 20, 30, 60, 70, 80, 90))
    assert shaped(info, "largest").closed_gops == expected
    assert shaped(GROWN, "largest").closed_gops == ()


def test_formats_and_tags() -> None:
    info = video(form(0, 320, 180), form(30, 320, 180, pix_fmt="yuv420p10le", tags=HDR))
    made = shaped(info, "largest")
    assert (made.pix_fmt, made.tags) == ("yuv420p10le", HDR)
    assert len(made.warnings) == 2


def test_each_frame_keeps_the_shape_of_its_pixels_where_it_can() -> None:
    wide = Fraction(64, 45)
    info = video(
        form(0, 720, 576, sample_aspect_ratio=Fraction(16, 15)),
        form(40, 720, 576, sample_aspect_ratio=wide),
    )
    made = shaped(info, "largest")
    assert made.sample_aspect_ratio == wide
    assert [aspect_at(made, pts) for pts in (0, 39, 40)] == [Fraction(16, 15)] * 2 + [wide]
    assert aspect_at(replace(made, own_tags=False), 0) == wide


def test_frames_are_fitted_into_the_result() -> None:
    info = video(form(0, 640, 360))
    assert fitted_size(info, 320, 180, None) == (640, 360)
    assert fitted_size(info, 318, 180, None) == (640, 360)  # nearly the same shape
    assert fitted_size(info, 360, 640, None) == (204, 360)
    assert fitted_size(info, 720, 576, Fraction(16, 15)) == (480, 360)
    assert fitted_size(info, 720, 180, None) == (640, 160)


@pytest.mark.parametrize(
    ("names", "common"),
    [
        (["yuv420p"], "yuv420p"),
        (["yuvj420p", "yuv420p"], "yuv420p"),
        (["yuv420p", "yuv422p10le"], "yuv422p10le"),
        (["yuv422p", "yuv420p10le"], "yuv422p10le"),
        (["yuv420p", "yuva420p"], "yuva420p"),
        (["gray", "yuv420p"], "yuv420p"),
        (["rgb24", "rgba"], "gbrap"),
        (["gray10le", "gray"], "gray10le"),
    ],
)
def test_a_common_format_holds_all(names: list[str], common: str) -> None:
    assert common_format(names) == common


def test_bars_are_black_and_captions_and_pixels_stay(tmp_path: Path) -> None:
    turned = sectioned(tmp_path / "a.webm", Section(), Section(size=(64, 96)), codec="libvpx")
    info = shaped(probe(turned), "source")
    frames = list(decode(info, whole(info)))
    assert {(f.width, f.height) for f in frames} == {(96, 64)}
    frame = frames[15]
    width = fitted_size(info, 64, 96, None)[0]
    assert width == 44
    left = (96 - width) // 8 * 4
    luma, blue = frame.planes[0], frame.planes[1]
    assert (luma[:, :left] == 16).all()
    assert (luma[:, left + width :] == 16).all()
    assert (blue[:, : left // 2] == 128).all()
    drawn = av.VideoFrame.from_ndarray(synthetic.picture(15, 64, 96), "rgb24")
    expected = drawn.reformat(width, 64, "yuv420p", interpolation="AREA").to_ndarray()[:64]
    inner = luma[:, left : left + width].ravel()
    assert np.corrcoef(inner, expected.ravel())[0, 1] > 0.9


def test_small_frames_without_tags_keep_their_colours_at_720_lines(tmp_path: Path) -> None:
    """Players take BT.601 for what is below 720 lines, and BT.709 for what is not."""

    def red(_: int) -> np.ndarray:
        return np.full((360, 640, 3), (200, 30, 30), np.uint8)

    sections = (
        Section(frames=2, size=(640, 360), pictures=red),
        Section(frames=2, size=(1280, 720)),
    )
    info = shaped(probe(sectioned(tmp_path / "a.mkv", *sections)), "largest")
    frame = next(iter(decode(info, whole(info))))
    planes = [float(np.median(plane)) for plane in frame.planes]
    colour = av.VideoFrame.from_ndarray(red(0), "rgb24")
    right = colour.reformat(1280, 720, "yuv420p", dst_colorspace="ITU709").to_ndarray()
    flat = [right[:720], right[720:900], right[900:]]
    assert planes == pytest.approx([float(np.median(one)) for one in flat], abs=3)
