from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from facepipe.datatypes import Faces, Frame, Span, SpanFaces
from facepipe.faces.analyze import analyze_frames, turned_back
from facepipe.faces.detection.denoise import denoised
from facepipe.models.detectors import FLOOR
from facepipe.models.detectors.yunet import YuNet
from media import portraits
from media.shots import frame, shot


class Blind:
    """Finds nothing; counts its calls."""

    hints = True

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, bgr: NDArray[np.uint8], /, *, floor: float = FLOOR) -> Faces:
        self.calls += 1
        return Faces.none()


def video(images: Callable[[int], NDArray[np.uint8]], count: int) -> list[Frame]:
    return [frame(100 + 7 * k, images(k)) for k in range(count)]


def analyze(
    frames: list[Frame], spans: list[Span], anchors: set[int], detector: object, **how: int
) -> list[SpanFaces]:
    """Each span as a worker has it: its frames and one beyond."""
    results = []
    for span in spans:
        inside = [f for f in frames if span.start <= f.pts < span.stop]
        beyond = [f for f in frames if f.pts >= span.stop][:1]
        results.append(
            analyze_frames(
                inside + beyond,
                span,
                anchors=frozenset(anchors),
                detector=detector,  # type: ignore[arg-type]
                every=how.get("every", 5),
                score=0.5,
                min_face=5,
                rotation=how.get("rotation", 0),
            )
        )
    return results


def pts(number: int) -> int:
    return 100 + 7 * number


def test_detection_frames_are_anchors_every_kth_after_them_and_the_last() -> None:
    frames = video(lambda k: shot(0, k), 24)
    (found,) = analyze(frames, [Span(0, 100, 1000)], {pts(0), pts(12)}, Blind())
    numbers = [(s.pts - 100) // 7 for s in found.detections]
    assert numbers == [0, 5, 10, 12, 17, 22, 23]
    assert found.cuts == ()
    assert {s.shot for s in found.detections} == {0}


class Counting(YuNet):
    """Counts its calls."""

    calls = 0

    def __call__(self, bgr: NDArray[np.uint8], /, *, floor: float = FLOOR) -> Faces:
        self.calls += 1
        return super().__call__(bgr, floor=floor)


def test_a_still_scene_is_searched_once_and_found_in_every_detection_frame() -> None:
    rng = np.random.default_rng(0)
    still = portraits.scene(0).astype(np.int16)
    grainy = [np.clip(still + rng.integers(-2, 3, still.shape), 0, 255) for _ in range(12)]
    detector = Counting()
    frames = video(lambda k: grainy[k].astype(np.uint8), 12)
    (one,) = analyze(frames[:1], [Span(0, 100, 1000)], {pts(0)}, detector)
    calls, detector.calls = detector.calls, 0
    (found,) = analyze(frames, [Span(0, 100, 1000)], {pts(0)}, detector)
    assert detector.calls == calls
    assert [(s.pts - 100) // 7 for s in found.detections] == [0, 5, 10, 11]
    assert {len(s.faces) for s in found.detections} == {len(one.detections[0].faces)} == {2}
    assert all(len(s.measurements.arrays()["sharpness"]) == 2 for s in found.detections)
    analyze(frames, [Span(0, 100, 1000)], {pts(0), pts(6)}, detector)
    assert detector.calls == 3 * calls  # a segment knows nothing of the one before


def test_slow_change_adds_up_until_it_is_searched() -> None:
    land = np.full((96, 160, 3), 100, np.uint8)
    lighter = np.zeros_like(land)
    lighter[30:60, 40:90] = 1
    detector = Blind()
    frames = video(lambda k: land + k * lighter, 12)
    analyze(frames, [Span(0, 100, 1000)], {pts(0)}, detector, every=1)
    first = Blind()
    analyze(frames[:1], [Span(0, 100, 1000)], {pts(0)}, first, every=1)
    assert detector.calls > first.calls


@pytest.mark.parametrize("colour", range(3))
def test_what_comes_in_light_of_one_colour_is_searched(colour: int) -> None:
    def scene(k: int) -> NDArray[np.uint8]:
        image = np.full((96, 160, 3), 10, np.uint8)
        image[30:60, 40:90, colour] += 90 if k else 0
        return image

    first, both = Blind(), Blind()
    analyze(video(scene, 1), [Span(0, 100, 1000)], {pts(0)}, first, every=1)
    analyze(video(scene, 2), [Span(0, 100, 1000)], {pts(0)}, both, every=1)
    assert both.calls == 2 * first.calls


def test_both_sides_of_a_cut_are_detection_frames() -> None:
    frames = video(lambda k: shot(0 if k < 8 else 3, k), 20)
    (found,) = analyze(frames, [Span(0, 100, 1000)], {pts(0)}, Blind())
    assert found.cuts == (pts(8),)
    assert [(s.pts - 100) // 7 for s in found.detections] == [0, 5, 7, 8, 10, 15, 19]
    assert [s.shot for s in found.detections] == [0, 0, 0, 1, 1, 1, 1]


def test_the_span_cut_changes_nothing() -> None:
    """Cuts inside segments, neighbours an anchor and on one; faces from the real detector."""
    video_of_faces = [portraits.scene(k) for k in range(40)]

    def images(k: int) -> NDArray[np.uint8]:
        if k < 9:
            return video_of_faces[k]
        if k < 20:
            return np.ascontiguousarray(video_of_faces[k][::-1])
        return video_of_faces[k]

    frames = video(images, 40)
    anchors = {pts(0), pts(10), pts(20), pts(30)}
    whole = [Span(0, pts(0), 9999)]
    halves = [Span(0, pts(0), pts(20)), Span(1, pts(20), 9999)]
    quarters = [Span(k, pts(10 * k), pts(10 * k + 10)) for k in range(4)]
    detector = YuNet()
    seen = []
    followed: list[dict[tuple[int, int], NDArray[np.float64]]] = []
    for spans in (whole, halves, quarters):
        found = analyze(frames, spans, anchors, detector)
        by_pts = {s.pts: s.faces for span in found for s in span.detections}
        seen.append(by_pts)
        owned = [
            s for one in found for s in one.detections if one.span.start <= s.pts < one.span.stop
        ]
        followed.append(
            {(s.pts, one.pts): one.maps for s in owned for one in s.motion if len(s.faces)}
        )
        assert sorted({cut for span in found for cut in span.cuts}) == [pts(9), pts(20)]
        for other in seen[:-1]:
            assert by_pts.keys() == other.keys()
            for at, faces in by_pts.items():
                np.testing.assert_array_equal(faces.boxes, other[at].boxes)
                np.testing.assert_array_equal(faces.landmarks, other[at].landmarks)
                np.testing.assert_array_equal(faces.scores, other[at].scores)
    assert len(seen[0][pts(0)]) == 2
    assert len(followed[0]) > 30
    for other in followed[1:]:
        assert other.keys() == followed[0].keys()
        for key, maps in other.items():
            np.testing.assert_array_equal(maps, followed[0][key])


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_rotated_video_is_searched_upright_and_detections_are_as_coded(turns: int) -> None:
    upright = portraits.scene(0)
    coded = np.ascontiguousarray(np.rot90(upright, -turns))
    (straight,) = analyze(video(lambda _: upright, 1), [Span(0, 0, 999)], {100}, YuNet())
    (turned,) = analyze(
        video(lambda _: coded, 1), [Span(0, 0, 999)], {100}, YuNet(), rotation=90 * turns
    )
    there, here = straight.detections[0].faces, turned.detections[0].faces
    assert len(there) == len(here) == 2
    height, width = upright.shape[:2]
    np.testing.assert_allclose(
        here.boxes, turned_back(there, turns, width, height).boxes, atol=1e-3
    )
    for box, points in zip(here.boxes, here.landmarks, strict=True):
        assert (points > box[:2]).all()
        assert (points < box[2:]).all()
        left, top, right, bottom = np.rint(box).astype(int)
        assert 0 < left < right < coded.shape[1]
        assert 0 < top < bottom < coded.shape[0]


def test_no_frames_no_detections() -> None:
    (found,) = analyze([], [Span(0, 0, 10)], {0}, Blind())
    assert found.detections == ()


def test_every_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="every"):
        analyze(video(lambda k: shot(0, k), 2), [Span(0, 0, 999)], {100}, Blind(), every=0)


def test_detection_frames_are_denoised_by_their_own_shot_and_segment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A noisy video with a cut at 12 and an anchor at 17."""

    def noisy(number: int) -> NDArray[np.uint8]:
        noise = np.random.default_rng(number).normal(0, 12, (72, 128, 1))
        return np.clip(shot(0 if number < 12 else 7, number) + noise, 0, 255).astype(np.uint8)

    helped: dict[int, list[int]] = {}

    def recording(here: Frame, neighbours: Sequence[Frame]) -> NDArray[np.uint8]:
        number = (here.pts - 100) // 7
        helped[number] = [(one.pts - 100) // 7 for one in neighbours]
        made = denoised(here, neighbours)
        truth = shot(0 if number < 12 else 7, number).astype(float)
        assert np.abs(made - truth).mean() < 0.75 * np.abs(noisy(number) - truth).mean()
        return made

    monkeypatch.setattr("facepipe.faces.analyze.denoised", recording)
    frames = video(noisy, 24)
    (found,) = analyze(frames, [Span(0, 100, 1000)], {pts(0), pts(17)}, Blind())
    assert found.cuts == (pts(12),)
    assert helped == {
        0: [1, 2],
        5: [3, 4, 6, 7],
        10: [8, 9, 11, 12],  # what another shot shows does not count in `denoised`
        11: [9, 10],
        12: [13, 14],
        15: [13, 14, 16, 17],
        17: [18, 19],
        22: [20, 21, 23],
        23: [21, 22],
    }
