"""What a stopped run left in its folder: notes, faces and marks, as a crash may leave them."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import numpy as np

from facepipe.datatypes import Damage, Faces, FrameDetections, Part, Span, SpanFaces
from facepipe.errors import FacepipeError
from facepipe.pipeline.checkpoint import claim, open_job

SPAN = Span(0, 100, 200)


def seeds() -> dict[str, bytes]:
    """What a job writes; the first byte says in which file."""
    faces = Faces(
        boxes=np.array([[1, 2, 30, 40]], np.float32),
        scores=np.array([0.9], np.float32),
        landmarks=np.arange(10, dtype=np.float32).reshape(1, 5, 2),
    )
    with tempfile.TemporaryDirectory() as folder, open_job(Path(folder) / "o.mp4", "mark") as job:
        damage = (Damage(100, 110, 2, "do not decode"),)
        job.keep_faces(
            SpanFaces(
                span=SPAN,
                detections=(FrameDetections(pts=100, faces=faces, shot=0),),
                cuts=(105,),
                warnings=("w",),
                damage=damage,
            )
        )
        job.part(SPAN).write_bytes(b"film")
        job.keep_part(Part(SPAN, str(job.part(SPAN)), 12, 5, "trouble", ("w",), "", damage))
        return {
            "faces": b"\0" + job.faces(SPAN).read_bytes(),
            "note": b"\1" + job.part(SPAN).with_suffix(".json").read_bytes(),
            "mark": b"\2mark",
            "made": b"\3mark 00",
        }


def try_one(data: bytes) -> None:
    """Go on where it was; what is damaged is as if it were not there."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "o.mp4"
        with open_job(target, "mark") as job:
            job.keep_faces(SpanFaces(span=SPAN, detections=(), cuts=()))
            job.part(SPAN).write_bytes(b"film")
            kept = (job.faces(SPAN), job.part(SPAN).with_suffix(".json"))
            names = (*kept, job.folder / "fingerprint", job.folder / "made")
            names[data[0] % 4 if data else 0].write_bytes(data[1:])
        target.write_bytes(b"of another")
        with contextlib.suppress(FacepipeError):
            claim(target, "mark")
        with open_job(target, "mark") as job:
            found = job.kept_faces(SPAN)
            assert found is None or found.span == SPAN
            part = job.kept_part(SPAN)
            assert part is None or part.span == SPAN
