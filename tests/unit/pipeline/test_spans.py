"""Spans cover the video once, whatever their length; anchors depend on the source alone."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from facepipe.datatypes import VideoInfo
from facepipe.pipeline.spans import (
    MAX_SKIPPED_PIXELS,
    anchors,
    longest_seconds,
    plan_spans,
    with_copies,
)


def info(pts: list[int], keys: list[int], base: Fraction = Fraction(1, 25)) -> VideoInfo:
    return VideoInfo(
        path="video.mp4", container="mp4", stream_index=0, codec="h264", width=64, height=64,
        pix_fmt="yuv420p", time_base=base, pts=tuple(pts), keyframe_pts=tuple(keys), rotation=0,
        sample_aspect_ratio=None, others=(),
    )  # fmt: skip


@st.composite
def videos(draw: st.DrawFn) -> VideoInfo:
    steps = draw(st.lists(st.integers(1, 40), min_size=1, max_size=120))
    start = draw(st.integers(-100, 100))
    pts = [start + sum(steps[:k]) for k in range(len(steps))]
    keys = [pts[0], *(p for p in pts[1:] if draw(st.booleans()))]
    return info(pts, keys)


@given(videos(), st.floats(0.1, 30))
def test_spans_cover_every_frame_once(video: VideoInfo, seconds: float) -> None:
    spans = plan_spans(video, span_seconds=seconds)
    covered = [p for span in spans for p in video.pts if span.start <= p < span.stop]
    assert covered == list(video.pts)
    assert {span.start for span in spans} <= set(anchors(video))
    assert [span.index for span in spans] == list(range(len(spans)))


@given(videos(), st.floats(0.1, 30), st.integers(-150, 1000), st.integers(1, 500))
def test_a_window_covers_what_lies_inside(
    video: VideoInfo, seconds: float, start: int, length: int
) -> None:
    spans = plan_spans(video, span_seconds=seconds, window=(start, start + length))
    inside = [p for p in video.pts if start <= p < start + length]
    assert [p for span in spans for p in video.pts if span.start <= p < span.stop] == inside


@given(videos())
def test_anchors_are_a_second_apart(video: VideoInfo) -> None:
    chosen = anchors(video)
    assert chosen[0] == video.pts[0]
    assert all(b - a >= 25 for a, b in pairwise(chosen))


@given(
    videos(),
    st.floats(0.1, 30),
    st.lists(st.tuples(st.integers(-50, 900), st.integers(0, 90)), max_size=6),
    st.data(),
)
def test_copies_are_whole_groups_in_which_nothing_changes(
    video: VideoInfo, seconds: float, starts: list[tuple[int, int]], data: st.DataObject
) -> None:
    ends = [*video.keyframe_pts[1:], video.pts[-1] + 1]
    every = list(zip(video.keyframe_pts, ends, strict=True))
    closed = tuple(group for group in every if data.draw(st.booleans()))
    video = replace(video, closed_gops=closed)
    changed = [(first, first + lasting) for first, lasting in starts]
    spans = with_copies(video, plan_spans(video, span_seconds=seconds), changed)
    assert [p for s in spans for p in video.pts if s.start <= p < s.stop] == list(video.pts)
    assert [s.index for s in spans] == list(range(len(spans)))
    whole = len(spans) == 1
    for span in spans:
        if span.copied:
            assert not any(a < span.stop and b >= span.start for a, b in changed)
            assert sum(b - a for a, b in closed if span.start <= a and b <= span.stop) == (
                span.stop - span.start
            )
            assert whole or span.stop - span.start >= 25
    copied = {(s.start, s.stop) for s in spans if s.copied}
    for a, b in closed:
        free = not any(first < b and last >= a for first, last in changed)
        assert not (free and b - a >= 25) or any(s <= a and b <= e for s, e in copied)
    other = with_copies(video, plan_spans(video, span_seconds=1), changed)
    assert copied == {(s.start, s.stop) for s in other if s.copied}


def test_an_empty_video_has_no_spans() -> None:
    assert plan_spans(info([], []), span_seconds=4) == ()
    assert anchors(info([], [])) == ()


def test_streams_of_keyframes_alone_are_cut_by_time() -> None:
    spans = plan_spans(info(list(range(250)), list(range(250))), span_seconds=2)
    assert [span.stop - span.start for span in spans] == [50] * 5


def test_a_short_video_is_cut_finer_for_cores_to_share() -> None:
    keys = list(range(0, 500, 25))  # twenty seconds, a keyframe each
    spans = plan_spans(info(list(range(500)), keys), span_seconds=6)
    assert [span.stop - span.start for span in spans] == [75] * 6 + [50]
    short = plan_spans(info(list(range(100)), keys[:4]), span_seconds=6)
    assert [span.stop - span.start for span in short] == [50, 50]


def test_a_video_with_one_keyframe_has_several_spans() -> None:
    """So that all cores work on it, and an interrupted run keeps what is finished."""
    video = info(list(range(25 * 600)), [0])
    spans = plan_spans(video, span_seconds=6)
    assert len(spans) == 8
    assert {span.start for span in spans} <= set(anchors(video))
    covered = [p for span in spans for p in video.pts if span.start <= p < span.stop]
    assert covered == list(video.pts)


def test_keyframes_that_are_not_far_apart_are_the_only_places() -> None:
    video = info(list(range(25 * 120)), [25 * 30 * k for k in range(4)])
    assert set(anchors(video)) == set(video.keyframe_pts)


def test_what_is_decoded_for_nothing_has_a_bound() -> None:
    video = replace(info(list(range(25 * 7200)), [0]), width=3840, height=2160)
    starts = sorted(anchors(video))
    assert len(starts) == 1
    assert longest_seconds(video, plan_spans(video, span_seconds=6)) >= 7200 - 1
    smaller = replace(video, width=320, height=240)
    starts = sorted(anchors(smaller))
    assert len(starts) > 1
    assert max(starts) * 320 * 240 <= MAX_SKIPPED_PIXELS
