"""The job folder: what is finished stays finished, and belongs to one job alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facepipe.datatypes import Damage, Faces, FrameDetections, Motion, Part, Span, SpanFaces
from facepipe.errors import OutputError
from facepipe.pipeline.checkpoint import open_job

SPAN = Span(3, 100, 200)
DAMAGE = (Damage(100, 110, 2, "do not decode"), Damage(150, 150, 1, "are damaged"))


def found() -> SpanFaces:
    faces = Faces(
        np.array([[1, 2, 30, 40]], np.float32),
        np.array([0.9], np.float32),
        np.arange(10, dtype=np.float32).reshape(1, 5, 2),
    )
    moves = tuple(Motion(pts, np.full((1, 2, 3), pts / 7)) for pts in (101, 102))
    looks = (
        FrameDetections(100, faces, 0, moves),
        FrameDetections(105, Faces.none(), 1),
        FrameDetections(110, faces, 1, moves[:1]),
    )
    return SpanFaces(SPAN, looks, (105,), ("w",), DAMAGE)


def test_faces_are_kept(tmp_path: Path) -> None:
    with open_job(tmp_path / "out.mp4", "mark") as job:
        assert job.kept_faces(SPAN) is None
        job.keep_faces(found())
    with open_job(tmp_path / "out.mp4", "mark") as job:
        kept = job.kept_faces(SPAN)
        assert kept is not None
        assert (kept.span, kept.cuts, kept.warnings) == (SPAN, (105,), ("w",))
        assert kept.damage == DAMAGE
        assert [(s.pts, s.shot, len(s.faces), len(s.moves)) for s in kept.detections] == [
            (100, 0, 1, 2),
            (105, 1, 0, 0),
            (110, 1, 1, 1),
        ]
        for one, other in zip(kept.detections, found().detections, strict=True):
            assert [m.pts for m in one.moves] == [m.pts for m in other.moves]
            for mine, yours in zip(one.moves, other.moves, strict=True):
                np.testing.assert_array_equal(mine.maps, yours.maps)
        np.testing.assert_array_equal(
            kept.detections[0].faces.landmarks, found().detections[0].faces.landmarks
        )
        assert job.kept_faces(Span(3, 100, 201)) is None


def test_what_is_known_of_faces_is_kept_where_all_are_known(tmp_path: Path) -> None:
    known = np.arange(60, dtype=np.float32)[None]
    prints = [known, known[:0], known + 1]
    shown = [
        np.array([share], np.float32)[: len(p)]
        for share, p in zip((0.5, 0, np.nan), prints, strict=True)
    ]
    seen = [
        replace(detected, prints=p, features=f, detail=f)
        for detected, p, f in zip(found().detections, prints, shown, strict=True)
    ]
    with open_job(tmp_path / "out.mp4", "mark") as job:
        job.keep_faces(replace(found(), detections=tuple(seen)))
        kept = job.kept_faces(SPAN)
        assert kept is not None
        for one, print_, share in zip(kept.detections, prints, shown, strict=True):
            np.testing.assert_array_equal(one.prints, print_)
            np.testing.assert_array_equal(one.features, share)
            np.testing.assert_array_equal(one.detail, share)
        job.keep_faces(replace(found(), detections=(seen[0], *found().detections[1:])))
        kept = job.kept_faces(SPAN)
        assert kept is not None
        assert [one.prints for one in kept.detections] == [None] * 3


def test_a_span_without_sightings_is_kept(tmp_path: Path) -> None:
    with open_job(tmp_path / "out.mp4", "mark") as job:
        job.keep_faces(SpanFaces(SPAN, (), ()))
        kept = job.kept_faces(SPAN)
        assert kept is not None
        assert kept.detections == ()


def test_damaged_faces_are_none(tmp_path: Path) -> None:
    with open_job(tmp_path / "out.mp4", "mark") as job:
        job.faces(SPAN).write_bytes(b"PK\x03\x04 no zip")
        assert job.kept_faces(SPAN) is None


def test_parts_are_kept_with_their_file(tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    with open_job(target, "mark") as job:
        part = Part(SPAN, str(job.part(SPAN)), 12, 5, "trouble", ("w",), "a network", DAMAGE)
        job.part(SPAN).write_bytes(b"film")
        job.keep_part(part)
        assert job.kept_part(SPAN) is not None
        for lost in (b"fi", b""):  # what a power cut may leave of it
            job.part(SPAN).write_bytes(lost)
            assert job.kept_part(SPAN) is None
        job.part(SPAN).unlink()
        assert job.kept_part(SPAN) is None  # the note without its film
        job.part(SPAN).write_bytes(b"film")
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


def test_what_is_broken_off_leaves_nothing(tmp_path: Path) -> None:
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


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match="cannot write there"),
        open_job(tmp_path / "no" / "out.mp4", "mark"),
    ):
        pass
