"""The job folder: what is finished stays finished, and belongs to one job alone."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facepipe.datatypes import (
    Damage,
    FaceMeasurements,
    Faces,
    FrameDetections,
    Motion,
    Part,
    Span,
    SpanFaces,
)
from facepipe.errors import OutputError
from facepipe.pipeline.checkpoint import open_job

SPAN = Span(3, 100, 200)
DAMAGE = (Damage(100, 110, 2, "do not decode"), Damage(150, 150, 1, "are damaged"))


def found() -> SpanFaces:
    faces = Faces(
        boxes=np.array([[1, 2, 30, 40]], np.float32),
        scores=np.array([0.9], np.float32),
        landmarks=np.arange(10, dtype=np.float32).reshape(1, 5, 2),
    )
    motion = tuple(Motion(pts, np.full((1, 2, 3), pts / 7)) for pts in (101, 102))
    detections = (
        FrameDetections(pts=100, faces=faces, shot=0, motion=motion),
        FrameDetections(pts=105, faces=Faces.none(), shot=1),
        FrameDetections(pts=110, faces=faces, shot=1, motion=motion[:1]),
    )
    return SpanFaces(
        span=SPAN,
        detections=detections,
        cuts=(105,),
        warnings=("w",),
        damage=DAMAGE,
        holdings=(("the active format", 120), ("the stereo layout", 100)),
    )


def test_faces_are_kept(tmp_path: Path) -> None:
    with open_job(tmp_path / "out.mp4", "mark") as job:
        assert job.kept_faces(SPAN) is None
        job.keep_faces(found())
    with open_job(tmp_path / "out.mp4", "mark") as job:
        kept = job.kept_faces(SPAN)
        assert kept is not None
        assert (kept.span, kept.cuts, kept.warnings) == (SPAN, (105,), ("w",))
        assert kept.damage == DAMAGE
        assert [(s.pts, s.shot, len(s.faces), len(s.motion)) for s in kept.detections] == [
            (100, 0, 1, 2),
            (105, 1, 0, 0),
            (110, 1, 1, 1),
        ]
        for one, other in zip(kept.detections, found().detections, strict=True):
            assert [m.pts for m in one.motion] == [m.pts for m in other.motion]
            for mine, yours in zip(one.motion, other.motion, strict=True):
                np.testing.assert_array_equal(mine.maps, yours.maps)
        np.testing.assert_array_equal(
            kept.detections[0].faces.landmarks, found().detections[0].faces.landmarks
        )
        assert job.kept_faces(Span(3, 100, 201)) is None


def with_every_field() -> SpanFaces:
    """Detections of which no field has its default, every measurement of faces included."""
    names = [field.name for field in fields(FaceMeasurements)]
    shapes = {"appearance": (1, 60)}

    def measured(detected: FrameDetections, value: float) -> FrameDetections:
        values = {
            name: np.full(shapes.get(name, 1), value + k, np.float32)
            for k, name in enumerate(names)
        }
        return replace(detected, measurements=FaceMeasurements(**values))

    one, _, other = found().detections
    return replace(found(), detections=(measured(one, 0.25), measured(other, 0.5)))


def compare(one: Any, other: Any, where: str) -> None:
    """Assert that two values are equal, field by field; in the first no field has its default."""
    assert type(one) is type(other), where
    if isinstance(one, tuple):
        assert len(one) == len(other), where
        for mine, yours in zip(one, other, strict=True):
            compare(mine, yours, where)
    elif isinstance(one, np.ndarray):
        assert one.dtype == other.dtype, where
        np.testing.assert_array_equal(one, other, where)
    elif is_dataclass(one) and not isinstance(one, Span | Damage):
        for field in fields(one):
            inner = f"{where}.{field.name}"
            value = getattr(one, field.name)
            assert value is not field.default, f"{inner}: this test must set it"
            compare(value, getattr(other, field.name), inner)
    else:
        assert one == other, where


def test_a_resumed_run_has_every_measurement(tmp_path: Path) -> None:
    """A field that is added to what the analysis finds must be saved, or a resume would lose it."""
    with open_job(tmp_path / "out.mp4", "mark") as job:
        job.keep_faces(with_every_field())
    with open_job(tmp_path / "out.mp4", "mark") as job:
        compare(with_every_field(), job.kept_faces(SPAN), "SpanFaces")


def test_measurements_are_kept_where_all_frames_have_them(tmp_path: Path) -> None:
    known = np.arange(60, dtype=np.float32)[None]
    measured = [
        FaceMeasurements(appearance=known, sharpness=np.array([0.5], np.float32)),
        FaceMeasurements(appearance=known[:0], sharpness=np.zeros(0, np.float32)),
        FaceMeasurements(appearance=known + 1, sharpness=np.array([np.nan], np.float32)),
    ]
    seen = [
        replace(detected, measurements=one)
        for detected, one in zip(found().detections, measured, strict=True)
    ]
    with open_job(tmp_path / "out.mp4", "mark") as job:
        job.keep_faces(replace(found(), detections=tuple(seen)))
        kept = job.kept_faces(SPAN)
        assert kept is not None
        for one, expected in zip(kept.detections, measured, strict=True):
            np.testing.assert_array_equal(one.measurements.appearance, expected.appearance)
            np.testing.assert_array_equal(one.measurements.sharpness, expected.sharpness)
            assert one.measurements.part_visibility is None
        job.keep_faces(replace(found(), detections=(seen[0], *found().detections[1:])))
        kept = job.kept_faces(SPAN)
        assert kept is not None
        assert [one.measurements.arrays() for one in kept.detections] == [{}] * 3


def test_a_span_without_detections_is_kept(tmp_path: Path) -> None:
    with open_job(tmp_path / "out.mp4", "mark") as job:
        job.keep_faces(SpanFaces(span=SPAN, detections=(), cuts=()))
        kept = job.kept_faces(SPAN)
        assert kept is not None
        assert kept.detections == ()


def test_faces_that_do_not_fit_their_counts_are_none(tmp_path: Path) -> None:
    with open_job(tmp_path / "out.mp4", "mark") as job:
        job.keep_faces(found())
        with np.load(job.faces(SPAN)) as kept:
            arrays = dict(kept)
        for counts in ([1, 0, 2**50], [1, 0, 0], [1, -1, 1]):
            np.savez(job.faces(SPAN), **(arrays | {"faces": np.array(counts)}))
            assert job.kept_faces(SPAN) is None


def test_damaged_faces_are_none(tmp_path: Path) -> None:
    with open_job(tmp_path / "out.mp4", "mark") as job:
        job.faces(SPAN).write_bytes(b"PK\x03\x04 no zip")
        assert job.kept_faces(SPAN) is None


def test_parts_are_kept_with_their_file(tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    with open_job(target, "mark") as job:
        part = Part(SPAN, str(job.part(SPAN)), 12, 5, "trouble", ("w",), "a network", DAMAGE)
        job.part(SPAN).write_bytes(b"video")
        job.keep_part(part)
        assert job.kept_part(SPAN) is not None
        for lost in (b"fi", b""):  # what a power cut may leave of it
            job.part(SPAN).write_bytes(lost)
            assert job.kept_part(SPAN) is None
        job.part(SPAN).unlink()
        assert job.kept_part(SPAN) is None  # the note without its video
        job.part(SPAN).write_bytes(b"video")
    with open_job(target, "mark") as job:
        kept = job.kept_part(SPAN)
        assert kept is not None
        assert kept == part
        assert job.kept_part(Span(3, 0, 5)) is None


def test_another_job_begins_anew(tmp_path: Path) -> None:
    with open_job(tmp_path / "out.mp4", "one") as job:
        job.keep_faces(found())
    with open_job(tmp_path / "out.mp4", "other") as job:
        assert job.kept_faces(SPAN) is None


def test_a_save_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with open_job(tmp_path / "out.mp4", "mark") as job:
        before = sorted(job.folder.iterdir())
        with pytest.raises(OverflowError):
            job.keep_faces(replace(found(), cuts=(2**70,)))
        assert sorted(job.folder.iterdir()) == before


def test_unfinished_files_are_swept(tmp_path: Path) -> None:
    with open_job(tmp_path / "out.mp4", "mark") as job:
        job.keep_faces(found())
        (job.folder / ".part-00001.partial.nut").write_bytes(b"half")
    with open_job(tmp_path / "out.mp4", "mark") as job:
        assert not list(job.folder.glob("*.partial*"))
        assert job.kept_faces(SPAN) is not None


def test_a_job_that_kept_nothing_leaves_nothing(tmp_path: Path) -> None:
    with open_job(tmp_path / "out.mp4", "mark"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_two_runs_do_not_make_one_file(tmp_path: Path) -> None:
    with (
        open_job(tmp_path / "out.mp4", "mark"),
        pytest.raises(OutputError, match="another run"),
        open_job(tmp_path / "out.mp4", "mark"),
    ):
        pass


def test_a_folder_that_is_not_there_is_reported(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match="cannot write there"),
        open_job(tmp_path / "no" / "out.mp4", "mark"),
    ):
        pass
