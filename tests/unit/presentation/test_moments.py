"""Which faces are shown, and when."""

from __future__ import annotations

import numpy as np

from facepipe.datatypes import Track
from facepipe.faces.canvas import TEMPLATE
from facepipe.presentation.moments import best_times, telling_moments, telling_tracks

FRAMES = tuple(range(0, 1000, 10))


def track(
    number: int,
    size: float = 20,
    score: float = 0.9,
    span: tuple[int, int] = (0, 500),
    reason: str | None = None,
    sizes: tuple[float, float] | None = None,
) -> Track:
    sides = np.linspace(*(sizes or (size, size)), 6)
    boxes = np.stack([np.zeros(6), np.zeros(6), sides, sides], 1).astype(np.float32)
    return Track(
        number=number,
        pts=np.linspace(*span, 6).astype(np.int64),
        boxes=boxes,
        landmarks=(TEMPLATE[None] / 128 * sides[:, None, None]).astype(np.float32),
        scores=np.full(6, score, np.float32),
        enhance=reason is None,
        reason=reason,
    )


def test_the_largest_the_smallest_the_doubtful_and_each_kind_of_refusal_come_first() -> None:
    tracks = [
        *(track(n, size=20 + n) for n in range(1, 20)),
        track(20, size=60),
        track(21, size=9),
        track(22, score=0.6),
        track(23, score=0.3, reason="score 0.3 below 0.7"),
        track(24, score=0.4, reason="score 0.4 below 0.7"),
        track(25, reason="outside --region"),
    ]
    chosen = telling_tracks(tracks, 5)
    assert [(one.number, why) for one, why in chosen] == [
        (20, "largest"),
        (21, "smallest"),
        (22, "doubtful"),
        (25, "refused"),
        (19, "typical"),
    ]
    assert (24, "refused") in [(one.number, why) for one, why in telling_tracks(tracks, 10)]


def test_no_more_are_shown_than_asked_for_and_no_track_twice_at_a_time() -> None:
    tracks = [track(n, size=10 + n) for n in range(1, 30)]
    moments = telling_moments(tracks, FRAMES, 12)
    assert len(moments) == 12
    assert len({(m.track.number, m.pts) for m in moments}) == 12


def test_few_tracks_are_shown_at_several_times() -> None:
    moments = telling_moments([track(1), track(2, reason="outside --region")], FRAMES, 12)
    assert [m.track.number for m in moments] == [1, 1, 1, 2]
    assert all(m.pts in FRAMES for m in moments)


def test_enhanced_faces_come_before_refused_ones() -> None:
    moments = telling_moments([track(1, reason="outside --region"), track(2)], FRAMES, 4)
    assert [m.track.enhance for m in moments] == [True, True, False]


def test_a_face_is_shown_where_it_is_large() -> None:
    (pts,) = best_times(track(1, sizes=(10, 40)), FRAMES, 1)
    assert pts >= 400


def test_a_time_that_is_shown_already_is_taken_where_it_is_nearly_as_good() -> None:
    steady = track(1)
    (best,) = best_times(steady, FRAMES, 1)
    assert best_times(steady, FRAMES, 1, shown=[best + 50]) == [best + 50]
    grows = track(1, sizes=(4, 60))
    assert best_times(grows, FRAMES, 1, shown=[10]) != [10]


def test_a_track_that_no_frame_shows_is_left_out() -> None:
    between = track(1, span=(1, 9))
    assert best_times(between, FRAMES, 2) == []
    assert telling_moments([between], FRAMES, 3) == ()
    assert telling_moments([], FRAMES, 3) == ()


def test_unknown_scores_are_no_doubt() -> None:
    unknown = track(1, score=float("nan"))
    assert len(best_times(unknown, FRAMES, 3)) == 3
    assert telling_tracks([unknown, track(2, score=0.8)], 3)[1][1] in ("smallest", "doubtful")
