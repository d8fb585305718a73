from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from facepipe.configs.notices import CONTAINER_TAG
from facepipe.configs.settings import RestoreSettings
from facepipe.datatypes import Crops, Frame, Restored, Span, Track, VideoInfo
from facepipe.errors import MediaError
from facepipe.faces.colour import to_bgr8
from facepipe.faces.restore import NEIGHBOUR_FRAMES, NEIGHBOUR_SECONDS, render_frames
from facepipe.models.restorers import create_restorer
from facepipe.pipeline.tasks import tracks_within
from facepipe.presentation.views import Look
from facepipe.ui import pictures
from facepipe.ui.pictures import FrameTask, Pictures, show_frame
from facepipe.ui.project import Project
from facepipe.video import decode, probe
from media import portraits, synthetic


def shown(jpeg: bytes) -> NDArray[np.float32]:
    return np.asarray(Image.open(io.BytesIO(jpeg)), np.float32)


def show(task: FrameTask) -> bytes:
    return show_frame(task, lambda _: None)


def difference(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    return float(np.abs(one - other).mean())


def test_each_frame_is_the_very_one(tmp_path: Path) -> None:
    """Of a video of a variable rate with B-frames, in any order: the nearest of all is the one."""
    gaps = [(1, 3, 2)[number % 3] * synthetic.STEP for number in range(24)]
    path = portraits.video(tmp_path / "v.mp4", pts=list(np.cumsum(gaps) - gaps[0]))
    info = probe(path)
    frames = [to_bgr8(frame)[..., ::-1].astype(np.float32)
              for frame in decode(info, Span(0, info.pts[0], info.pts[-1] + 1))]  # fmt: skip
    assert len(frames) == len(info.pts) == 24
    for number in (0, 23, 7, 8, 3, 16, 1):
        picture = shown(show(FrameTask(info, info.pts[number])))
        distances = [difference(picture, frame) for frame in frames]
        assert int(np.argmin(distances)) == number
        assert distances[number] < 3


def test_a_turned_video_is_shown_upright(video: Path) -> None:
    info = probe(video)
    as_is = shown(show(FrameTask(info, info.pts[3])))
    turned = shown(show(FrameTask(replace(info, rotation=90), info.pts[3])))
    assert turned.shape[:2] == as_is.shape[1::-1]
    assert difference(np.rot90(as_is), turned) < 3


def rendered(info: VideoInfo, pts: int, tracks: Sequence[Track], look: Look) -> Frame:
    """The frame as the render pass makes it, with what bears on it decoded."""
    span = Span(0, pts, pts + 1)
    return next(
        render_frames(
            decode(info, span, before=NEIGHBOUR_FRAMES, beyond=NEIGHBOUR_FRAMES),
            span,
            tracks_within(tracks, span, info),
            create_restorer(look.restore.restorer),
            max_gap_pts=NEIGHBOUR_SECONDS / float(info.time_base),
            window=look.restore.window,
            strength=look.restore.strength,
            fidelity=look.restore.fidelity,
            scale=look.scale,
            restored=lambda _: None,
        )
    )


@pytest.mark.parametrize("number", [0, 2, 20, 39])
def test_the_planes_of_an_enhanced_frame_are_those_of_a_run(searched: Path, number: int) -> None:
    opened = Project(searched).opened()
    info, pts = opened.info, opened.info.pts[number]
    look = Look(RestoreSettings(strength=0.8), 1)
    around = pictures._frames_around(info, pts)
    frame = next(frame for frame in around if frame.pts == pts)
    tracks = [track for track in opened.tracks if track.enhance]
    made = pictures._rendered(frame, around, tracks, look, info)
    wanted = rendered(info, pts, opened.tracks, look)
    for own, other, plain in zip(made.planes, wanted.planes, frame.planes, strict=True):
        assert np.abs(own.astype(int) - other).max() <= 1  # networks on several threads round
        assert (own != plain).any()


def test_an_enhanced_frame_is_what_a_run_makes(searched: Path) -> None:
    opened = Project(searched).opened()
    info, pts = opened.info, opened.info.pts[20]
    look = Look(RestoreSettings(), 2)
    jpeg = show(FrameTask(info, pts, opened.tracks, look))
    wanted = rendered(info, pts, opened.tracks, look)
    picture = shown(jpeg)
    assert picture.shape[:2] == (info.height * 2, info.width * 2)
    assert difference(picture, to_bgr8(wanted)[..., ::-1].astype(np.float32)) < 2
    assert CONTAINER_TAG.encode() in jpeg
    plain = show(FrameTask(info, pts))
    assert CONTAINER_TAG.encode() not in plain
    bicubic = Look(RestoreSettings(restorer="bicubic"), 2)
    assert difference(shown(show(FrameTask(info, pts, opened.tracks, bicubic))), picture) > 0.02


def test_without_faces_nothing_is_called_enhanced(video: Path) -> None:
    info = probe(video)
    jpeg = show(FrameTask(info, info.pts[3], (), Look(RestoreSettings(), 1)))
    assert CONTAINER_TAG.encode() not in jpeg


def test_another_strength_asks_the_network_nothing(
    searched: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Project(searched).opened()
    calls = []

    class Counting:
        description = "counting"

        def __init__(self) -> None:
            self._restorer = create_restorer("fishsrnet")
            self.contract = self._restorer.contract

        def __call__(self, crops: Crops) -> Restored:
            calls.append(len(crops))
            return self._restorer(crops)

    pictures._restorer.cache_clear()
    monkeypatch.setattr(pictures, "create_restorer", lambda *_, **__: Counting())
    looks = [
        Look(RestoreSettings(strength=strength, fidelity=fidelity), scale)
        for strength, fidelity, scale in ((1, 0.3, 1), (0.5, 0.3, 1), (0.5, 0.8, 1), (1, 0.3, 2))
    ]
    made = [show(FrameTask(opened.info, opened.info.pts[9], opened.tracks, one)) for one in looks]
    pictures._restorer.cache_clear()
    assert len(calls) == 1
    assert len(set(made)) == len(made)


def test_a_frame_that_does_not_decode_is_said(video: Path) -> None:
    info = probe(video)
    with pytest.raises(MediaError, match="is damaged"):
        show(FrameTask(info, info.pts[-1] + 10**6))


@pytest.mark.long
def test_pictures_come_from_processes_apart(searched: Path) -> None:
    opened = Project(searched).opened()
    made = Pictures()
    try:
        plain = made.frame(opened.info, opened.info.pts[5])
        enhanced = made.frame(
            opened.info, opened.info.pts[5], opened.tracks, Look(RestoreSettings(), 1)
        )
        track = opened.track(2)
        assert track is not None
        thumbnail = made.thumbnail(opened.info, track)
        assert thumbnail is not None
        assert made.thumbnail(opened.info, track) is thumbnail
    finally:
        made.close()
    assert shown(plain).shape == (136, 240, 3)
    assert CONTAINER_TAG.encode() in enhanced
    assert shown(thumbnail).shape == (pictures.THUMBNAIL_SIDE, pictures.THUMBNAIL_SIDE, 3)
