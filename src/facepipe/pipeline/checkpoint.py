"""Checkpoints: the job folder, in which finished work outlives the run.

The folder lies next to the target, and a finished part in it is itself the mark that it is done.
It belongs to one (source, settings, version): another job with the same target begins anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from facepipe._system.files import atomic_write, durable_rename, sha256_of, write_text
from facepipe._system.locks import HELD, LOCK, locked_folder
from facepipe.configs.settings import Settings
from facepipe.datatypes import (
    Analysis,
    Damage,
    FaceMeasurements,
    Faces,
    FrameDetections,
    Motion,
    Part,
    Span,
    SpanFaces,
)
from facepipe.errors import OutputError, OutputExistsError
from facepipe.video.containers import PART_SUFFIX

#: The file with the sha256 of the finished output, while that gets its name.
_MADE = "made"
_MARK = "fingerprint"
#: The file that says that faces were not looked for everywhere, as workers were lost.
_UNSEARCHED = "unsearched"
#: The file that says which way up faces are looked for.
_TURN = "turned"
_LOCKS = (LOCK, f"{LOCK}{HELD}")
#: Prefix of a measurement's array among the arrays of a span's faces.
_MEASURED = "measured_"


log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """The folder of one run, and the paths in it."""

    folder: Path

    @property
    def analysis(self) -> Path:
        return self.folder / "analysis.json"

    def faces(self, span: Span) -> Path:
        """Where the analyze pass over `span` is kept."""
        return self.folder / f"faces-{span.index:05}.npz"

    def part(self, span: Span) -> Path:
        """Where the rendered `span` is kept."""
        return self.folder / f"part-{span.index:05}{PART_SUFFIX}"

    def whole(self, target: Path) -> Path:
        """Where the finished video waits for its name."""
        return self.folder / f"whole-{target.name}"

    def deliver(self, made: Path, target: Path) -> None:
        """Give `made`, a file of this folder, the target's name, noting first that it is ours.

        A run that is killed before it has cleared up leaves a target that `claim` recognizes.
        """
        mark = (self.folder / _MARK).read_text(encoding="utf-8")
        write_text(f"{mark} {sha256_of(made)}", self.folder / _MADE)
        durable_rename(made, target)

    def _note(self, span: Span) -> Path:
        return self.part(span).with_suffix(".json")

    def keep_part(self, part: Part) -> None:
        """Mark a rendered part as finished, by a note that also holds its size on disk."""
        note = asdict(part) | {"bytes": _size(self.part(part.span))}
        write_text(json.dumps(note), self._note(part.span))

    def kept_part(self, span: Span) -> Part | None:
        """The finished part of `span`, None where there is none or a crash cut it short."""
        try:
            note = json.loads(self._note(span).read_text(encoding="utf-8"))
            size = note.pop("bytes")
            damage = tuple(Damage(**one) for one in note["damage"])
            warnings = tuple(map(str, note["warnings"]))
            inner = {"span": Span(**note["span"]), "damage": damage, "warnings": warnings}
            part = Part(**(note | inner))
            good = all(isinstance(n, int) for n in (part.frames, part.faces, *_numbers(damage)))
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None
        path = self.part(span)
        if not good or part.lost or part.span != span or size != _size(path):
            return None
        # The folder may have been moved with its video.
        return replace(part, path=str(path))

    @property
    def turn(self) -> int | None:
        """By how many degrees the faces are turned that are kept, where other ways were tried."""
        with contextlib.suppress(OSError, ValueError):
            return int((self.folder / _TURN).read_text(encoding="utf-8"))
        return None

    def keep_turn(self, degrees: int) -> None:
        """Forget the faces that are kept, which were found another way up, and keep `degrees`."""
        for path in self.folder.glob("faces-*.npz"):
            path.unlink()
        write_text(str(degrees), self.folder / _TURN)

    def keep_faces(self, found: SpanFaces) -> None:
        """Save what the analyze pass found in one span."""
        detections = found.detections
        faces = Faces.concat([one.faces for one in detections])
        arrays: dict[str, Any] = {
            "span": np.array([found.span.index, found.span.start, found.span.stop]),
            "pts": np.array([one.pts for one in detections], np.int64),
            "shot": np.array([one.shot for one in detections], np.int64),
            "faces": np.array([len(one.faces) for one in detections], np.int64),
            "boxes": faces.boxes,
            "scores": faces.scores,
            "landmarks": faces.landmarks,
            **_motion_arrays(detections),
            "cuts": np.array(found.cuts, np.int64),
            "warnings": np.array(found.warnings, dtype=np.str_),
            "damage": np.array([*_numbers(found.damage)], np.int64).reshape(-1, 3),
            "damage_kinds": np.array([one.what for one in found.damage], dtype=np.str_),
            "holdings": np.array([name for name, _ in found.holdings], dtype=np.str_),
            "holdings_pts": np.array([pts for _, pts in found.holdings], np.int64),
        }
        measurements = FaceMeasurements.concat([one.measurements for one in detections])
        arrays |= {_MEASURED + name: array for name, array in measurements.arrays().items()}
        with atomic_write(self.faces(found.span)) as partial, partial.open("wb") as file:
            np.savez(file, **arrays)

    def kept_faces(self, span: Span) -> SpanFaces | None:
        """What was found in `span`, None where nothing is kept or what is there is damaged."""
        try:
            return self._read_faces(span)
        except Exception as error:  # a zip, a deflate stream or an array's head can be at fault
            log.info("what was kept of span %d is not used: %s", span.index, error)
            return None

    def _read_faces(self, span: Span) -> SpanFaces | None:
        with np.load(self.faces(span), allow_pickle=False) as kept:
            data = {name: kept[name] for name in kept.files}
        if data["span"].tolist() != [span.index, span.start, span.stop]:
            return None
        faces, measurements = _faces(data), _measurements(data)
        detections: list[FrameDetections] = []
        faces_at = motions_at = maps_at = 0
        names = ("pts", "shot", "faces", "motions")
        for pts, shot, count, motions in zip(*(data[name].tolist() for name in names), strict=True):
            own = slice(faces_at, faces_at + count)
            motion: list[Motion] = []
            for moved in data["motion_pts"][motions_at : motions_at + motions].tolist():
                motion.append(Motion(moved, data["motion_maps"][maps_at : maps_at + count]))
                maps_at += count
            detections.append(
                FrameDetections(
                    pts=pts,
                    faces=faces.take(own),
                    shot=shot,
                    motion=tuple(motion),
                    measurements=measurements.take(own),
                )
            )
            faces_at, motions_at = faces_at + count, motions_at + motions
        if (faces_at, motions_at) != (len(faces), len(data["motion_pts"])):
            raise ValueError(f"{len(faces)} faces were kept, {faces_at} were counted")
        if maps_at != len(data["motion_maps"]):
            raise ValueError(f"{len(data['motion_maps'])} maps were kept, {maps_at} were counted")
        cuts, warnings = tuple(data["cuts"].tolist()), tuple(data["warnings"].tolist())
        damaged = zip(data["damage"].tolist(), data["damage_kinds"].tolist(), strict=True)
        damage = tuple(Damage(a, b, frames, what) for (a, b, frames), what in damaged)
        held = zip(data["holdings"].tolist(), data["holdings_pts"].tolist(), strict=True)
        return SpanFaces(
            span=span,
            detections=tuple(detections),
            cuts=cuts,
            warnings=warnings,
            damage=damage,
            holdings=tuple(held),
        )

    def has_finished_work(self) -> bool:
        """Whether a later run could go on with what is here."""
        return any(self.folder.glob("part-*.json")) or any(self.folder.glob("faces-*.npz"))

    def note_unsearched(self) -> None:
        """Note that workers were lost that looked for faces: the analysis is not whole."""
        write_text("", self.folder / _UNSEARCHED)

    @property
    def unsearched(self) -> bool:
        """Whether workers were lost that looked for faces."""
        return (self.folder / _UNSEARCHED).exists()

    def keep_for_another_run(self) -> None:
        """Keep what was finished, of a video that another run may make better.

        Where the search for faces was not whole, what followed from it is made anew.
        """
        if self.unsearched:
            for path in (self.analysis, *self.folder.glob("part-*")):
                path.unlink(missing_ok=True)
            (self.folder / _UNSEARCHED).unlink()

    def remove(self) -> None:
        """Delete the folder and all in it; last what says whose it is, should this be cut short."""
        with contextlib.suppress(OSError):
            for path in self.folder.iterdir():
                if path.name not in (_MARK, _MADE, *_LOCKS):
                    path.unlink()
            (self.folder / _MARK).unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def folder_of(target: Path) -> Path:
    """The folder of the job that makes `target`."""
    return target.parent / f".{target.name}.facepipe"


def is_left(target: Path) -> bool:
    """Whether a job that makes `target` was begun and has left its folder."""
    try:
        return folder_of(target).is_dir()
    except (OSError, ValueError):  # a name that no disk takes
        return False


def claim(target: Path, fingerprint: str) -> None:
    """Raise OutputError where `target` exists and is not what this very job made.

    A job that was killed between its last two steps has made it and left its folder.
    """
    if not target.exists():
        return
    folder = folder_of(target)
    with contextlib.suppress(OSError):
        if (folder / _MADE).read_bytes() == f"{fingerprint} {sha256_of(target)}".encode():
            return
    raise OutputExistsError(f"{target}: exists already; --overwrite replaces it")


@contextlib.contextmanager
def open_job(target: Path, fingerprint: str) -> Iterator[Job]:
    """Open the job that makes `target`, resumed where its folder has the same `fingerprint`.

    Raises OutputError where the folder cannot be made or another run is at work on it. On leaving,
    a folder in which nothing is finished is removed.
    """
    folder = folder_of(target)
    with locked_folder(folder, f"{target}: another run of facepipe is making this file") as lock:
        job, own = Job(folder), _inode(lock)
        try:
            try:
                _begin(folder, fingerprint)
            except OSError as error:
                raise OutputError(f"{folder}: cannot write there ({error.strerror})") from error
            yield job
        finally:
            # Once this job is removed, another run may have made the folder anew: not ours.
            if _inode(lock) == own and not job.has_finished_work():
                job.remove()
    if sys.platform == "win32":  # which deletes no file that is open
        with contextlib.suppress(OSError):
            lock.unlink()
            folder.rmdir()


def _inode(path: Path) -> int | None:
    """Which file has that name; None: none."""
    with contextlib.suppress(OSError):
        return path.stat().st_ino
    return None


def _begin(folder: Path, fingerprint: str) -> None:
    """Keep the finished work of this job; delete the rest."""
    mark = folder / _MARK
    if not mark.is_file() or mark.read_bytes() != fingerprint.encode():
        for path in folder.iterdir():
            if path.name not in _LOCKS:
                path.unlink()
        write_text(fingerprint, mark)
    for path in folder.glob("*.partial*"):
        path.unlink()


def _faces(data: dict[str, Any]) -> Faces:
    return Faces(boxes=data["boxes"], scores=data["scores"], landmarks=data["landmarks"])


def _measurements(data: dict[str, Any]) -> FaceMeasurements:
    """Every field that was saved; None for one that was not measured in all frames of the span."""
    names = [field.name for field in fields(FaceMeasurements)]
    return FaceMeasurements(**{name: data.get(_MEASURED + name) for name in names})


def _motion_arrays(detections: Sequence[FrameDetections]) -> dict[str, Any]:
    """How many motions each detection frame has, then the pts and maps of all of them."""
    motion = [motion for one in detections for motion in one.motion]
    return {
        "motions": np.array([len(one.motion) for one in detections], np.int64),
        "motion_pts": np.array([one.pts for one in motion], np.int64),
        "motion_maps": np.concatenate([np.zeros((0, 2, 3)), *(one.maps for one in motion)]),
    }


def _numbers(damage: Sequence[Damage]) -> Iterator[int]:
    for one in damage:
        yield from (one.first, one.last, one.frames)


def _size(path: Path) -> int:
    """Bytes of a file, 0 where there is none: a span of which nothing decoded has no part."""
    return path.stat().st_size if path.is_file() else 0


def fingerprint(
    source: Path, settings: Settings, analysis: Analysis | None, made_with: Sequence[str]
) -> str:
    """Hash of all that kept work depends on, as hexadecimal; `made_with`: versions and weights."""
    made_of = {
        "settings": settings_mark(settings, made_with),
        "source": sha256_of(source),
        "analysis": None if analysis is None else repr(analysis_digest(analysis)),
    }
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()


def settings_mark(settings: Settings, made_with: Sequence[str]) -> str:
    """Hash of all that a result depends on besides its source, as hexadecimal digits."""
    kept = settings.model_dump(
        mode="json",
        exclude={
            "workers": True,
            "profile_time": True,
            "limits": True,
            "strict_input": True,
            "output": {"dates"},
        },
    )
    made_of = {"made_with": list(made_with), "settings": kept}
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()


def analysis_digest(analysis: Analysis) -> str:
    """A digest of all in an analysis that a rendered span depends on."""
    digest = hashlib.sha256()
    for track in analysis.tracks:
        digest.update(f"{track.number} {track.enhance} ".encode())
        for values in (track.pts, track.boxes, track.landmarks):
            digest.update(values.tobytes())
    digest.update(f"{analysis.cuts} {analysis.damage} {analysis.holdings}".encode())
    return digest.hexdigest()
