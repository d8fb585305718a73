from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from facepipe.configs.settings import DetectSettings, LinkSettings
from facepipe.datatypes import (
    FaceMeasurements,
    Faces,
    FrameDetections,
    Motion,
    Span,
    SpanFaces,
    Track,
    VideoInfo,
)
from facepipe.faces.tracking.link import IMPOSSIBLE, least_cost, link

SHAPE = np.array([[-0.22, -0.2], [0.22, -0.2], [0, 0.05], [-0.18, 0.28], [0.18, 0.28]])
Seen = tuple[float, float, float, float]  # x, y, size, score


def info(rate: int = 25) -> VideoInfo:
    return VideoInfo(
        "video", "mp4", 0, "h264", 640, 360, "yuv420p", Fraction(1, rate), (0,), (0,), 0, None, ()
    )


def faces(*seen: Seen) -> Faces:
    if not seen:
        return Faces.none()
    rows = np.array(seen, np.float32)
    middle, half = rows[:, :2], rows[:, 2:3] / 2
    points = middle[:, None] + SHAPE[None] * rows[:, 2, None, None]
    return Faces(
        boxes=np.concatenate((middle - half, middle + half), 1),
        scores=rows[:, 3],
        landmarks=points.astype(np.float32),
    )


def video(frames: dict[int, Faces], cuts: tuple[int, ...] = ()) -> SpanFaces:
    detections = tuple(
        FrameDetections(pts=pts, faces=found, shot=0) for pts, found in frames.items()
    )
    return SpanFaces(span=Span(0, 0, 10**6), detections=detections, cuts=cuts)


def tracks(*spans: SpanFaces, **how: float) -> tuple[Track, ...]:
    of_links = {key: how.pop(key) for key in list(how) if key in LinkSettings.model_fields}
    return link(spans, detect=DetectSettings(**how), settings=LinkSettings(**of_links), info=info())


def same(one: tuple[Track, ...], other: tuple[Track, ...]) -> None:
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert (a.number, a.enhance, a.reason) == (b.number, b.enhance, b.reason)
        for name in ("pts", "boxes", "landmarks", "scores"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_two_faces_that_pass_each_other_stay_themselves() -> None:
    frames = {
        5 * k: faces((100 + 10 * k, 100, 30, 0.9), (300 - 10 * k, 118, 30, 0.9)) for k in range(21)
    }
    found = tracks(video(frames))
    assert [(t.first, t.last) for t in found] == [(0, 100), (0, 100)]
    assert all(t.enhance for t in found)
    ends = sorted(float(t.boxes[-1, 0] - t.boxes[0, 0]) for t in found)
    assert ends == pytest.approx([-200, 200], abs=6)


def test_a_fast_face_is_followed_by_its_motion() -> None:
    frames = {5 * k: faces((20 + 28 * k, 100, 20, 0.9)) for k in range(15)}
    (track,) = tracks(video(frames))
    assert (track.first, track.last) == (0, 70)


def test_never_over_a_cut() -> None:
    frames = {5 * k: faces((100, 100, 30, 0.9)) for k in range(20)}
    first, second = tracks(video(frames, cuts=(50,)))
    assert (first.last, second.first) == (45, 50)


def test_a_gap_is_filled_up_to_its_length_and_not_beyond() -> None:
    def gap(frames: int) -> dict[int, Faces]:
        return {
            5 * k: faces() if 8 <= k < 8 + frames else faces((100 + k, 100, 30, 0.9))
            for k in range(30)
        }

    (one,) = tracks(video(gap(4)))
    assert one.covers(50)
    assert one.box_at(50)[0] == pytest.approx(100 + 10 - 15, abs=1)
    assert len(tracks(video(gap(6)))) == 2
    assert len(tracks(video(gap(1)), gap_seconds=0)) == 1


def test_weak_detections_continue_a_track_but_begin_none() -> None:
    frames = {5 * k: faces((100, 100, 30, 0.9 if k % 3 else 0.55)) for k in range(12)}
    (track,) = tracks(video(frames))
    assert track.enhance
    assert (track.first, track.last) == (0, 55)
    (weak,) = tracks(video({5 * k: faces((100, 100, 30, 0.55)) for k in range(12)}))
    assert not weak.enhance
    assert weak.reason == "score 0.550 below 0.6"


def test_what_is_seen_for_long_need_not_be_so_sure() -> None:
    def seen(frames: int) -> str | None:
        detections = {5 * k: faces((100, 100, 30, 0.64)) for k in range(frames)}
        (track,) = tracks(video(detections))
        return track.reason

    assert seen(2) == "score 0.640 below 0.7"
    assert seen(4) == "score 0.640 below 0.667"
    assert seen(8) is None
    assert seen(40) is None


def test_what_is_hardly_seen_makes_no_track() -> None:
    assert tracks(video({5 * k: faces((100, 100, 30, 0.4)) for k in range(12)})) == ()


def test_each_refusal_has_its_reason() -> None:
    def of(size: float, frames: int = 12, **how: float) -> str | None:
        detections = {
            5 * k: faces((200, 200, size, 0.9)) if k < frames else faces() for k in range(12)
        }
        (track,) = tracks(video(detections), **how)
        assert track.enhance == (track.reason is None)
        return track.reason

    assert of(30) is None
    assert of(60) is None
    assert of(10, min_face=12) == "smaller than --min-face: 10.0 px of 12"
    assert of(40, max_face=32) == "larger than --max-face: 40.0 px of 32"
    assert of(90) == "larger than the canvas: 90.0 px, and it holds 70"
    assert of(90, max_face=128) is None
    assert of(30, frames=1) == "too short: seen in 1 of 12 looks"
    assert of(30, frames=3, min_seconds=1) == "too short: 0.40 s, 1 s asked for"


def test_a_profile_is_refused_but_not_one_who_turns_away_for_a_while() -> None:
    def turning(profiles: int) -> Track:
        frames = {}
        for k in range(12):
            seen = faces((200, 200, 30, 0.9))
            if k < profiles:
                seen.landmarks[..., 0] = 200 + 0.15 * (seen.landmarks[..., 0] - 200)
            frames[5 * k] = seen
        return tracks(video(frames))[0]

    assert turning(0).enhance
    assert turning(5).enhance
    assert turning(12).reason == "a profile in 12 of 12 looks"


@pytest.mark.parametrize("count", [1, 2])
def test_a_video_of_one_or_two_frames_still_has_its_face(count: int) -> None:
    (track,) = tracks(video({k: faces((100, 100, 30, 0.9)) for k in range(count)}))
    assert track.enhance


def test_a_short_shot_is_judged_by_its_own_detection_frames() -> None:
    frames = {5 * k: faces() for k in range(12)} | {k: faces((100, 100, 30, 0.9)) for k in (61, 63)}
    (track,) = tracks(video(frames, cuts=(61,)))
    assert track.enhance
    assert len(track.pts) == 2


def test_nothing_seen_is_no_track() -> None:
    assert tracks() == ()
    assert tracks(video({0: faces(), 5: faces()})) == ()


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_the_partition_and_order_of_spans_change_nothing(data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    frames = {}
    for k in range(24):
        seen = [
            (60 + 90 * face + 4 * k * rng.uniform(0.9, 1.1), 100.0, 24.0, rng.uniform(0.5, 0.95))
            for face in range(3)
            if rng.uniform() < 0.85
        ]
        frames[5 * k] = faces(*seen)
    cuts = (40, 75)
    whole = tracks(video(frames, cuts))
    borders = sorted(data.draw(st.sets(st.sampled_from(sorted(frames)[1:]), max_size=6)))
    spans = []
    for number, (start, stop) in enumerate(zip([0, *borders], [*borders, 10**6], strict=True)):
        detections = [
            FrameDetections(pts=p, faces=f, shot=0) for p, f in frames.items() if start <= p <= stop
        ]
        own = tuple(cut for cut in cuts if start < cut <= stop)
        spans.append(
            SpanFaces(span=Span(number, start, stop), detections=tuple(detections), cuts=own)
        )
    same(whole, tracks(*data.draw(st.permutations(spans))))


def resting(noise: float, count: int = 60) -> tuple[NDArray[np.float64], dict[int, Faces]]:
    rng = np.random.default_rng(4)
    frames = {}
    for k in range(count):
        still = faces((200, 150, 32, 0.9))
        jitter = rng.normal(0, noise * 32, (1, 5, 2)).astype(np.float32)
        shift = rng.normal(0, noise * 32, (1, 2)).astype(np.float32)
        frames[5 * k] = Faces(
            boxes=still.boxes + np.tile(shift, 2),
            scores=still.scores,
            landmarks=still.landmarks + jitter,
        )
    return faces((200, 150, 32, 0.9)).landmarks[0].astype(np.float64), frames


def test_a_face_at_rest_loses_its_jitter() -> None:
    truth, frames = resting(0.035)
    (track,) = tracks(video(frames))
    raw = np.stack([f.landmarks[0] for f in frames.values()])
    before = np.diff(raw, axis=0).std()
    assert np.diff(track.landmarks, axis=0).std() < 0.3 * before
    assert np.abs(track.landmarks - truth).mean() < 0.6 * np.abs(raw - truth).mean()


def test_real_motion_is_not_lagged() -> None:
    """A sprint, a dead stop and a swing: within the noise of one detection, on both sides."""
    x = np.concatenate((100 + 25.0 * np.arange(12), np.full(12, 375.0)))
    y = 150 + 40 * np.sin(np.arange(24) / 2)
    frames = {5 * k: faces((x[k], y[k], 32, 0.9)) for k in range(24)}
    (track,) = tracks(video(frames))
    seen = np.stack([f.landmarks[0] for f in frames.values()])
    assert np.abs(track.landmarks - seen).max() < 0.11 * 32
    assert np.abs((track.landmarks - seen).mean(0)).max() < 0.02 * 32


def test_a_face_is_found_again_where_it_was_followed_to() -> None:
    """One that leaps out of reach between detection frames, by the motion of its pixels alone."""

    def leap(followed: bool) -> tuple[Track, ...]:
        there = np.array([[1.0, 0, 90], [0, 1, 0]])
        motion = (Motion(5, there[None] * [[[1, 1, 0.5], [1, 1, 1]]]), Motion(10, there[None]))
        frames = (
            FrameDetections(pts=0, faces=faces((100, 100, 20, 0.9)), shot=0),
            FrameDetections(
                pts=10,
                faces=faces((190, 100, 20, 0.9)),
                shot=0,
                motion=(Motion(20, np.eye(2, 3)[None]),),
            ),
            FrameDetections(pts=20, faces=faces((190, 100, 20, 0.9)), shot=0),
        )
        first = replace(frames[0], motion=motion if followed else ())
        return tracks(SpanFaces(span=Span(0, 0, 10**6), detections=(first, *frames[1:]), cuts=()))

    (one,) = leap(followed=True)
    assert one.box_at(5)[0] == pytest.approx(90 + 45)
    assert len(leap(followed=False)) == 2


def test_appearance_separates_two_faces_that_come_close() -> None:
    """Unseen for a second, and found again each a little nearer to where the other was."""

    def after_the_gap(known: bool) -> tuple[Track, ...]:
        dark, bright = np.full(60, 40.0, np.float32), np.full(60, 90.0, np.float32)
        frames = []
        for pts in (*range(0, 50, 5), *range(70, 100, 5)):
            x = (100.0, 112.0) if pts < 50 else (109.0, 103.0)
            found = faces((x[0], 100, 20, 0.9), (x[1], 100, 20, 0.9))
            appearance = np.stack((dark, bright)) if known else None
            frames.append(
                FrameDetections(
                    pts=pts,
                    faces=found,
                    shot=0,
                    measurements=FaceMeasurements(appearance=appearance),
                )
            )
        return tracks(SpanFaces(span=Span(0, 0, 10**6), detections=tuple(frames), cuts=()))

    def not_switched(found: tuple[Track, ...]) -> list[bool]:
        """Whether what begins on the left is found on the right, and the other way round."""
        return [bool(t.box_at(95)[0] > 96) == bool(t.box_at(0)[0] < 96) for t in found]

    assert not_switched(after_the_gap(known=True)) == [True, True]
    assert not_switched(after_the_gap(known=False)) == [False, False]


def test_the_time_counts_through_which_a_face_was_followed() -> None:
    """Two detections 0.2 s apart are too few, unless the face was followed beyond them."""

    def followed(through: int) -> Track:
        still = np.eye(2, 3)[None]
        after = tuple(Motion(pts, still) for pts in range(16, 16 + through))
        frames = [
            FrameDetections(pts=5, faces=Faces.none(), shot=0),
            FrameDetections(
                pts=10, faces=faces((100, 100, 20, 0.9)), shot=0, motion=(Motion(15, still),)
            ),
            FrameDetections(pts=15, faces=faces((100, 100, 20, 0.9)), shot=0, motion=after),
            FrameDetections(pts=20, faces=Faces.none(), shot=0),
            FrameDetections(pts=60, faces=Faces.none(), shot=0),
        ]
        return tracks(SpanFaces(span=Span(0, 0, 10**6), detections=tuple(frames), cuts=()))[0]

    assert followed(4).enhance
    reason = followed(0).reason
    assert reason is not None
    assert reason.startswith("too short: 0.20 s")


@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 6), st.floats(0, 1))
@settings(deadline=None)
def test_the_assignment_is_the_one_of_least_cost(
    seed: int, rows: int, columns: int, refused: float
) -> None:
    rng = np.random.default_rng(seed)
    cost = rng.uniform(0, 4, (rows, columns))
    cost[rng.random(cost.shape) < refused] = IMPOSSIBLE
    best = zip(*linear_sum_assignment(cost), strict=True)
    assert least_cost(cost) == [(i, j) for i, j in best if cost[i, j] < IMPOSSIBLE]


def test_faces_that_lie_apart_are_all_assigned() -> None:
    cost = np.full((4, 3), IMPOSSIBLE)
    cost[2, 0], cost[0, 1] = 3.9, 0.1
    assert least_cost(cost) == [(0, 1), (2, 0)]
    assert least_cost(np.full((2, 2), IMPOSSIBLE)) == []
