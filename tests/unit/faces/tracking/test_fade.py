"""Fading of tracks."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from facepipe.datatypes import Track, VideoInfo
from facepipe.faces.tracking.fade import faded

VIDEO = VideoInfo(
    "f", "mp4", 0, "h264", 64, 64, "yuv420p", Fraction(1, 100), tuple(range(0, 400, 4)), (0,), 0,
    None, (),
)  # fmt: skip


def track(first: int, last: int) -> Track:
    return Track(
        number=1,
        pts=np.array([first, last]) if last > first else np.array([first]),
        boxes=np.zeros((1 + (last > first), 4), np.float32),
        landmarks=np.zeros((1 + (last > first), 5, 2), np.float32),
        scores=np.ones(1 + (last > first), np.float32),
    )


@pytest.mark.parametrize(
    ("first", "last", "full"),
    [
        (0, 396, (0, 396)),  # the whole video
        (100, 296, (116, 280)),  # comes and goes within a shot
        (0, 200, (0, 184)),
        (200, 396, (216, 396)),
        (80, 156, (80, 156)),  # a whole shot, from cut to cut
        (100, 124, (108, 116)),  # a short one fades over a third of it
        (100, 100, (100, 100)),
    ],
)
def test_only_what_begins_or_ends_within_a_shot_fades(
    first: int, last: int, full: tuple[int, int]
) -> None:
    cuts = (80, 160) if (first, last) == (80, 156) else ()
    (found,) = faded([track(first, last)], cuts, VIDEO, 0, 400)
    assert found.full == full


def test_a_part_of_the_video_begins_with_its_part() -> None:
    (found,) = faded([track(100, 196)], (), VIDEO, 100, 200)
    assert found.full == (100, 196)


def test_presence_rises_and_falls() -> None:
    (found,) = faded([track(100, 296)], (), VIDEO, 0, 400)
    shares = [found.presence(pts) for pts in range(100, 297, 4)]
    assert shares[0] == shares[-1] == pytest.approx(0.2)
    assert shares[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert shares == pytest.approx(shares[::-1])
    assert set(shares[4:-4]) == {1.0}
    assert track(100, 296).presence(100) == 1
