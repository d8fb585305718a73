"""Frames of a program come out as the command would have them, or with one clear line."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import facepipe
from facepipe import (
    Analysis,
    Event,
    FaceEnhancer,
    InputError,
    Settings,
    UsageError,
    load_settings,
)
from facepipe.pipeline.live import least_latency
from media import portraits
from media.pictures import Pictures, digests, images, rgb

LOSSLESS: dict[str, Any] = {"output.codec": "ffv1", "workers": 1}


def flipped(frames: Pictures) -> Pictures:
    return [frame[..., ::-1].copy() for frame in frames]


@pytest.mark.parametrize("kind", ["list", "function", "iterator", "array"])
def test_arrays_come_out_as_the_command_has_them(
    kind: str,
    enhancer: FaceEnhancer,
    frames: Pictures,
    expected: Pictures,
) -> None:
    given: Any = {
        "list": lambda: frames,
        "function": lambda: lambda: iter(frames),
        "iterator": lambda: iter(frames),
        "array": lambda: np.stack(frames),
    }[kind]()
    assert digests(enhancer.enhance(given)) == digests(iter(expected))


def test_bgr_comes_out_as_bgr(frames: Pictures, expected: Pictures, analysis: Analysis) -> None:
    with FaceEnhancer(channels="bgr") as own:
        made = list(own.render(flipped(frames), analysis))
    assert digests(iter(flipped(made))) == digests(iter(expected))


@pytest.mark.parametrize("planar", [True, False])
def test_tensors_come_out_as_tensors(
    planar: bool,
    enhancer: FaceEnhancer,
    frames: Pictures,
    expected: Pictures,
    analysis: Analysis,
) -> None:
    order = (2, 0, 1) if planar else (0, 1, 2)
    given = [torch.from_numpy(frame.copy()).permute(order) for frame in frames]
    made = list(enhancer.render(given, analysis))
    assert all(isinstance(one, torch.Tensor) and one.shape == given[0].shape for one in made)
    back = (1, 2, 0) if planar else (0, 1, 2)
    assert digests(one.permute(back).numpy() for one in made) == digests(iter(expected))


@pytest.mark.parametrize("form", ["images", "images that come once", "path", "name"])
def test_images_of_pyav_come_out_as_the_command_has_them(
    form: str, enhancer: FaceEnhancer, source: Path, expected: Pictures
) -> None:
    given: Any = {
        "images": lambda: images(source),
        "images that come once": lambda: iter(images(source)),
        "path": lambda: source,
        "name": lambda: str(source),
    }[form]()
    made = list(enhancer.enhance(given))
    assert digests(rgb(image) for image in made) == digests(iter(expected))
    assert [image.pts for image in made] == list(range(16))
    assert {image.time_base for image in made} == {Fraction(1, 25)}
    assert {image.format.name for image in made} == {"bgr0" if "images" in form else "gbrp"}


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le"])
def test_yuv_stays_in_its_own_planes(pix_fmt: str, enhancer: FaceEnhancer, tmp_path: Path) -> None:
    source, target = tmp_path / "source.mp4", tmp_path / "target.mkv"
    portraits.video(source, frames=12, pix_fmt=pix_fmt, audio=0)
    facepipe.enhance(source, target, load_settings(overrides=LOSSLESS))
    made = list(enhancer.enhance(lambda: images(source)))
    assert digests(one.to_ndarray() for one in made) == digests(
        one.to_ndarray() for one in images(target)
    )
    assert {one.format.name for one in made} == {pix_fmt}


@pytest.mark.long
@pytest.mark.parametrize("once", [False, True])
def test_a_clip_of_a_film_comes_out_as_the_command_has_it(
    once: bool, media: Path, enhancer: FaceEnhancer, tmp_path: Path
) -> None:
    clip, target = media / "short_hamilton_clip.mp4", tmp_path / "target.mkv"
    facepipe.enhance(clip, target, load_settings(overrides=LOSSLESS))
    given: Any = iter(images(clip)) if once else lambda: images(clip)
    made = (one.to_ndarray() for one in enhancer.enhance(given))
    assert digests(made) == digests(one.to_ndarray() for one in images(target))


def test_deep_arrays_keep_their_bits(
    enhancer: FaceEnhancer, frames: Pictures, analysis: Analysis
) -> None:
    deep = [frame.astype(np.uint16) * 257 + 3 for frame in frames]
    made = list(enhancer.render(deep, analysis))
    assert {one.dtype for one in made} == {np.dtype(np.uint16)}
    shallow = list(enhancer.render(frames, analysis))
    for one, other, before in zip(made, shallow, deep, strict=True):
        assert (one != before).any()
        assert np.abs(one / 257 - other).max() < 2
        changed = (one != before).any(-1)
        assert changed.mean() < 0.9
        assert np.array_equal(one[~changed], before[~changed])


@pytest.mark.parametrize("channels", [1, 4])
def test_grey_arrays_and_alpha_are_taken(
    channels: int, enhancer: FaceEnhancer, frames: Pictures, analysis: Analysis
) -> None:
    alpha = np.full((*frames[0].shape[:2], 1), 77, np.uint8)
    given = [
        frame.mean(-1).astype(np.uint8) if channels == 1 else np.concatenate([frame, alpha], -1)
        for frame in frames
    ]
    made = list(enhancer.render(given, analysis))
    assert all((one != before).any() for one, before in zip(made, given, strict=True))
    assert {one.shape for one in made} == {given[0].shape}
    assert channels == 1 or all((one[..., 3] == 77).all() for one in made)


LAYOUTS: dict[str, Callable[[NDArray[np.uint8]], Any]] = {
    "colours turned round": lambda frame: frame[..., ::-1].copy()[..., ::-1],
    "rows turned round": lambda frame: frame[::-1].copy()[::-1],
    "by columns": np.asfortranarray,
    "part of more": lambda frame: np.pad(frame, ((0, 0), (0, 0), (0, 1)))[..., :3],
    "tensor seen otherwise": lambda frame: torch.from_numpy(
        frame.transpose(2, 0, 1).copy()
    ).permute(1, 2, 0),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_frames_may_lie_in_memory_as_they_like(
    layout: str,
    enhancer: FaceEnhancer,
    frames: Pictures,
    expected: Pictures,
) -> None:
    made = list(enhancer.enhance([LAYOUTS[layout](frame) for frame in frames]))
    assert digests(np.asarray(one) for one in made) == digests(iter(expected))


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 3, 4), (1, 200), (9, 9)])
def test_the_smallest_frames_are_taken(enhancer: FaceEnhancer, shape: tuple[int, ...]) -> None:
    tiny = np.zeros(shape, np.uint8)
    assert [one is tiny for one in enhancer.enhance([tiny, tiny])] == [True, True]
    assert enhancer.enhance_image(tiny) is tiny


def test_faces_upside_down_are_found_as_in_a_video(
    enhancer: FaceEnhancer, frames: Pictures, tmp_path: Path
) -> None:
    turned = [np.ascontiguousarray(np.rot90(frame, 2)) for frame in frames]
    found = enhancer.analyze(iter(turned))
    assert [track.enhance for track in found.tracks] == [True, True]
    assert any("180 degrees" in warning for warning in found.warnings)
    path = portraits.rotated_video(tmp_path / "lying.mp4")
    lying = enhancer.analyze(images(path)[:16])
    assert [track.enhance for track in lying.tracks] == [True, True]
    assert lying.warnings == ()


def test_frames_grow_by_the_scale(frames: Pictures, analysis: Analysis) -> None:
    with FaceEnhancer(load_settings(overrides={"output.scale": 2})) as own:
        made = list(own.render(frames[:2], analysis))
    height, width, _ = frames[0].shape
    assert {one.shape for one in made} == {(2 * height, 2 * width, 3)}


def test_what_is_not_changed_is_the_same_object(enhancer: FaceEnhancer) -> None:
    wall = [np.full((64, 64, 3), k, np.uint8) for k in range(3)]
    tensors = [torch.from_numpy(one) for one in wall]
    pictures = [av.VideoFrame.from_ndarray(one, format="rgb24") for one in wall]
    for given in (wall, tensors, pictures):
        made = list(enhancer.enhance(given))
        assert all(one is other for one, other in zip(made, given, strict=True))
        assert list(map(id, enhancer.live(given))) == list(map(id, given))
        assert enhancer.enhance_image(given[0]) is given[0]


def test_what_is_given_is_never_written_to(
    enhancer: FaceEnhancer, frames: Pictures, analysis: Analysis
) -> None:
    locked = [frame.copy() for frame in frames]
    for frame in locked:
        frame.setflags(write=False)
    list(enhancer.render(locked, analysis))
    assert digests(iter(locked)) == digests(iter(frames))


def test_a_face_can_be_left_out_between_the_passes(
    enhancer: FaceEnhancer,
    frames: Pictures,
    expected: Pictures,
    analysis: Analysis,
) -> None:
    assert analysis.source_sha256 == ""
    assert (analysis.frames, analysis.stream) == (16, None)
    assert [track.enhance for track in analysis.tracks] == [True, True]
    left = min(analysis.tracks, key=lambda track: float(track.boxes[0, 0]))
    tracks = tuple(replace(one, enhance=one is not left) for one in analysis.tracks)
    (made, *_) = enhancer.render(frames, replace(analysis, tracks=tracks))
    middle = int(max(track.boxes[0, 0] for track in analysis.tracks) * 0.7)
    assert np.array_equal(made[:, :middle], frames[0][:, :middle])
    assert np.array_equal(made[:, -middle:], expected[0][:, -middle:])


def test_an_analysis_that_was_written_renders_the_same(
    enhancer: FaceEnhancer, source: Path, expected: Pictures, tmp_path: Path
) -> None:
    found = facepipe.analyze(source, tmp_path / "analysis.json", Settings(workers=1))
    assert {track.full for track in found.tracks} == {None}
    made = enhancer.render(iter(images(source)), found)
    near = [np.abs(rgb(a).astype(int) - b).max() for a, b in zip(made, expected, strict=True)]
    assert max(near) <= 2  # its numbers are not those of the file, which are rounded


def test_rendering_reads_once_and_only_a_little_ahead(
    enhancer: FaceEnhancer, frames: Pictures, analysis: Analysis
) -> None:
    taken: list[int] = []
    many = 6 * frames

    def counted() -> Iterator[NDArray[np.uint8]]:
        for number, frame in enumerate(many):
            taken.append(number)
            yield frame

    ahead = [len(taken) - k for k, _ in enumerate(enhancer.render(counted(), analysis))]
    assert taken == list(range(len(many)))
    assert max(ahead) <= 24


def test_one_image_comes_out_as_a_photograph_does(
    enhancer: FaceEnhancer, frames: Pictures, tmp_path: Path
) -> None:
    import cv2

    source, target = tmp_path / "photo.png", tmp_path / "out.png"
    cv2.imwrite(str(source), frames[0][..., ::-1])
    facepipe.enhance(source, target)
    expected = cv2.imread(str(target))[..., ::-1]
    assert (expected != frames[0]).any()
    assert np.array_equal(enhancer.enhance_image(frames[0]), expected)
    image = av.VideoFrame.from_ndarray(frames[0], format="rgb24")
    assert np.array_equal(rgb(enhancer.enhance_image(image)), expected)


def test_one_frame_of_a_video_is_that_of_the_whole(
    enhancer: FaceEnhancer, source: Path, expected: Pictures
) -> None:
    analysis = enhancer.analyze(source)
    assert len(analysis.source_sha256) == 64
    for pts in (0, 7):
        image = enhancer.frame_at(source, pts, analysis)
        assert np.array_equal(rgb(image), expected[pts])
        assert image.pts == pts
    with pytest.raises(UsageError, match="no frame has pts 99; near it are 15"):
        enhancer.frame_at(source, 99, analysis)
    with pytest.raises(InputError, match="belongs to another video"):
        enhancer.frame_at(source, 0, replace(analysis, source_sha256="0" * 64))


def test_live_frames_come_in_time_and_enhanced(enhancer: FaceEnhancer, frames: Pictures) -> None:
    latency, read = least_latency(Settings()), 0
    many = 3 * frames + frames[:5]

    def camera() -> Iterator[NDArray[np.uint8]]:
        nonlocal read
        for frame in many:
            read += 1
            yield frame

    made, late = [], []
    for number, frame in enumerate(enhancer.live(camera(), latency=latency)):
        made.append(frame)
        late.append(read - 1 - number)
    assert len(made) == len(many)
    assert max(late) == latency
    changed = [bool((a != b).any()) for a, b in zip(made, many, strict=True)]
    assert sum(changed) >= len(many) - 6  # the first two jumps of the drift are cuts in the track
    assert all(a.shape == b.shape for a, b in zip(made, many, strict=True))


def test_live_frames_of_one_block_come_out_as_those_of_a_video(
    enhancer: FaceEnhancer, frames: Pictures, expected: Pictures
) -> None:
    made = list(enhancer.live(frames, latency=32))
    near = [np.abs(a.astype(int) - b).mean() for a, b in zip(made, expected, strict=True)]
    assert max(near) < 0.02


def test_nothing_comes_of_no_live_frame(enhancer: FaceEnhancer) -> None:
    assert list(enhancer.live([])) == []


def test_events_count_both_passes(frames: Pictures) -> None:
    events: list[Event] = []
    with FaceEnhancer(on_event=events.append) as own:
        list(own.enhance(frames[:3]))
    assert events[:3] == [Event("analyze", number, 3) for number in (1, 2, 3)]
    assert events[-3:] == [Event("render", number, 3) for number in (1, 2, 3)]


def test_it_needs_no_main_guard_and_no_torch(source: Path) -> None:
    script = (
        "import av, sys\n"
        "from facepipe import FaceEnhancer\n"
        f"video = av.open({str(source)!r})\n"
        "frames = [frame.to_ndarray(format='rgb24') for frame in video.decode(video=0)]\n"
        "with FaceEnhancer() as enhancer:\n"
        "    print(sum((a != b).any() for a, b in zip(frames, enhancer.enhance(frames))))\n"
        "print('torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-"], input=script, capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout.split() == ["16", "False"]


def test_frames_that_went_through_are_freed_without_the_collector(
    enhancer: FaceEnhancer, source: Path, analysis: Analysis
) -> None:
    gc.collect()
    gc.disable()
    try:
        for given in (lambda: iter(images(source)), lambda: source):
            for frame in enhancer.render(given(), replace(analysis, source_sha256="")):
                assert frame.width == analysis.width
            del frame
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        left = [one for one in gc.garbage if isinstance(one, av.VideoFrame)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    # The first frame of the file stays: `probe` asks it for its side data.
    assert len([one for one in left if one.width > 16]) <= 1
