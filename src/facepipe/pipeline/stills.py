"""Pictures, as a worker enhances them: a task of many in, what became of each out.

A picture is a film of one frame, so it takes the same steps; it ends as a file of the same kind.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import fsspec

from facepipe._files import is_address, is_there, write_bytes
from facepipe.configs.settings import Settings
from facepipe.datatypes import Analysis, Frame, Part, Span, VideoInfo
from facepipe.errors import InputError, MediaError, OutputError, UsageError
from facepipe.faces.restoration.paste import enlarge
from facepipe.faces.restore import render_frames
from facepipe.faces.tracking.link import link
from facepipe.faces.tracking.selection import choose
from facepipe.images.picture import MOST_PIXELS, Picture, read_picture, write_picture
from facepipe.models.registry import ModelFiles
from facepipe.pipeline.preflight import check_output, check_restorer
from facepipe.pipeline.sidecar import (
    CONTAINER_TAG,
    scale_advice,
    sidecar,
    sidecar_path,
    write_sidecar,
)
from facepipe.pipeline.tasks import restorer_of, search

_SPAN = Span(0, 0, 1)

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Still:
    """One picture of a task. `number` is the caller's; `content` None: it is read from `source`."""

    number: int
    source: str  # path or address
    target: Path
    content: bytes | None = None


@dataclass(frozen=True)
class StillsTask:
    """Enhance these pictures; all targets lie under `root`.

    `most_pixels` is the largest picture that is opened. `model` is told of in reports.
    """

    stills: tuple[Still, ...]
    root: Path
    settings: Settings
    most_pixels: int
    model: ModelFiles | None

    @property
    def home(self) -> Path:
        """The folder that it writes to."""
        return self.root

    def sent(self, address: Callable[[str], str], folder: Path) -> StillsTask:
        """The same for a machine that reads sources at their addresses, writing to `folder`."""
        stills = tuple(
            replace(
                still,
                source=still.source if still.content is not None else address(still.source),
                target=folder / still.target.relative_to(self.root),
            )
            for still in self.stills
        )
        return replace(self, stills=stills, root=folder)


@dataclass(frozen=True)
class StillDone:
    """What became of one picture; `failed` says why nothing was written.

    `unwritten`: the disk refused it.
    """

    number: int
    sha256: str
    faces: int
    seconds: float
    size: int = 0  # bytes written
    refused: int = 0  # faces found and not enhanced
    advice: str | None = None
    failed: str | None = None
    unwritten: bool = False
    passed_through: str | None = None


@dataclass(frozen=True)
class StillsDone:
    """What became of a task's pictures, in their order."""

    stills: tuple[StillDone, ...]

    @property
    def frames(self) -> int:
        return sum(still.failed is None for still in self.stills)

    @property
    def faces(self) -> int:
        return sum(still.faces for still in self.stills)


def enhance_stills(task: StillsTask, progress: Progress) -> StillsDone:
    """Enhance each picture and write it with a report beside it; `progress` counts pictures.

    A picture that cannot be read or written is told as failed, the others go on.
    """
    cv2.setNumThreads(1)
    done = []
    for still in task.stills:
        done.append(_enhanced(still, task))
        progress(1)
    return StillsDone(tuple(done))


def pass_stills_through(task: StillsTask, progress: Progress) -> StillsDone:
    """Copy each picture as it is: what is left to do when enhancing it keeps failing."""
    done = []
    for still in task.stills:
        began = time.monotonic()
        content = _content(still)
        write_bytes(content, still.target)
        done.append(
            StillDone(still.number, _digest(content), 0, time.monotonic() - began, len(content))
        )
        progress(1)
    return StillsDone(tuple(done))


def enhance_picture(
    picture: Picture, info: VideoInfo, sha256: str, settings: Settings
) -> tuple[Frame, Analysis, int]:
    """The picture's frame enhanced, what was found in it, and how many faces were restored."""
    detect, restore = settings.detect, settings.restore
    found = search([picture.frame], _SPAN, anchors=frozenset({0}), settings=detect)
    tracks = choose(
        link([found], detect=detect, settings=settings.link, info=info), settings.choose, info
    )
    analysis = Analysis(sha256, info.time_base, 1, info.width, info.height, tracks)
    enhanced = [track for track in tracks if track.enhance]
    scale = settings.output.scale
    if not enhanced:
        return picture.frame if scale == 1 else enlarge(picture.frame, scale), analysis, 0
    counts: list[int] = []
    (frame,) = render_frames(
        iter([picture.frame]),
        _SPAN,
        enhanced,
        restorer_of(restore),
        apart=1,
        window=1,
        strength=restore.strength,
        fidelity=restore.fidelity,
        scale=scale,
        restored=counts.append,
    )
    return frame, analysis, sum(counts)


def _enhanced(still: Still, task: StillsTask) -> StillDone:
    began = time.monotonic()
    name, digest = Path(still.source).name, ""

    def done(faces: int = 0, size: int = 0, **what: Any) -> StillDone:
        seconds = round(time.monotonic() - began, 4)
        return StillDone(still.number, digest, faces, seconds, size, **what)

    try:
        content = _content(still)
        digest = _digest(content)
        picture = read_picture(content, name, most_pixels=task.most_pixels)
        info = _info(picture.frame, picture.kind, name)
        frame, analysis, faces = enhance_picture(picture, info, digest, task.settings)
        if faces or task.settings.output.scale > 1:
            written = write_picture(picture, frame, note=CONTAINER_TAG if faces else "")
        else:
            written = content  # not one pixel changed, so not one byte does
        write_bytes(written, still.target)
        if faces:
            report = _report(still, task, info, analysis, faces, _digest(written))
            write_sidecar(report, sidecar_path(still.target))
    except (InputError, MediaError, OutputError) as error:
        return done(failed=str(error), unwritten=isinstance(error, OutputError))
    refused = sum(not track.enhance for track in analysis.tracks)
    if not faces:
        return done(0, len(written), refused=refused, passed_through=_why_not(analysis))
    advice = scale_advice(analysis, task.settings.output.scale)
    return done(faces, len(written), refused=refused, advice=advice)


def _report(
    still: Still, task: StillsTask, info: VideoInfo, analysis: Analysis, faces: int, sha256: str
) -> dict[str, Any]:
    restored = Part(_SPAN, "", 1, faces, runs_on=restorer_of(task.settings.restore).description)
    return sidecar(
        info=info,
        analysis=analysis,
        settings=task.settings,
        model=task.model,
        parts=[restored],
        target=still.target,
        target_sha256=sha256,
        notes=(),
    )


def _why_not(analysis: Analysis) -> str:
    reasons = [str(track.reason) for track in analysis.tracks]
    return "; ".join(reasons[:3]) if reasons else "no face was found"


def _info(frame: Frame, kind: str, name: str) -> VideoInfo:
    """The picture as a film of one frame that lasts a second."""
    return VideoInfo(
        path=name,
        container=kind,
        stream_index=0,
        codec=kind,
        width=frame.width,
        height=frame.height,
        pix_fmt=frame.format.name,
        time_base=Fraction(1),
        pts=(0,),
        keyframe_pts=(0,),
        rotation=0,
        sample_aspect_ratio=None,
        others=(),
    )


def _content(still: Still) -> bytes:
    if still.content is not None:
        return still.content
    try:
        if is_address(still.source):
            with fsspec.open(still.source, "rb") as file:
                return bytes(file.read())
        return Path(still.source).read_bytes()
    except OSError as error:
        raise InputError(f"{still.source}: cannot be read ({error.strerror or error})") from error


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


#: Suffixes that mean the same kind of picture.
_SAME = {".jpeg": ".jpg", ".tiff": ".tif", ".heif": ".heic"}


def enhance_picture_file(
    source: Path,
    target: Path,
    settings: Settings,
    *,
    overwrite: bool = False,
    most_pixels: int = MOST_PIXELS,
) -> StillDone:
    """Write the picture with its faces made clear to `target`, and a report beside it.

    A picture in which no face is enhanced is copied byte by byte, unless it is enlarged.
    Raises InputError for what is no picture, UsageError for a target of another kind, OutputError
    for one that cannot be written.
    """
    if not is_there(source) or not source.is_file():
        raise InputError(f"{source}: there is no such picture")
    kinds = [_SAME.get(path.suffix.lower(), path.suffix.lower()) for path in (source, target)]
    if kinds[0] != kinds[1]:
        raise UsageError(
            f"{target.name}: a picture keeps its kind; name the output *{source.suffix.lower()}"
        )
    check_output(source, target, overwrite)
    model, _ = check_restorer(settings)
    still = Still(0, str(source), target)
    task = StillsTask((still,), target.parent, settings, most_pixels, model)
    (done,) = enhance_stills(task, lambda _: None).stills
    if done.failed:
        raise (OutputError if done.unwritten else InputError)(done.failed)
    return done
