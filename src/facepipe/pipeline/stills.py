"""Enhancement of still images: a task holds many, its result says what became of each.

An image takes the same steps as a video of one frame; it ends as a file of the same kind.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import cv2
import fsspec

from facepipe._system.files import date_of, is_address, is_there, remove_partials, write_bytes
from facepipe.configs.notices import CONTAINER_TAG, MADE_BY_FACEPIPE
from facepipe.configs.settings import DetectSettings, Settings
from facepipe.datatypes import Analysis, Frame, Part, Span, Track, VideoInfo
from facepipe.errors import InputError, MediaError, OutputError, UsageError
from facepipe.faces.restoration.enlarge import enlarge
from facepipe.faces.restore import restore_image
from facepipe.faces.tracking.link import link
from facepipe.images.still import MAX_PIXELS, StillImage, read_image, write_image
from facepipe.models.registry import ModelFiles
from facepipe.pipeline.limits import check_crowd
from facepipe.pipeline.preflight import alignment_of, check_output, check_restorer, licence_note
from facepipe.pipeline.selection import choose
from facepipe.pipeline.sidecar import (
    make_sidecar,
    scale_advice,
    sidecar_path,
    write_sidecar,
)
from facepipe.pipeline.tasks import restorer_of, search
from facepipe.pipeline.turning import found_turned, shows_sure_face, sure_scores

_SPAN = Span(0, 0, 1)

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Still:
    """One image of a task. `number` is the caller's; without `content` it is read from `source`.

    `modified_ns` is the date that the target gets, in nanoseconds since 1970; None: when it is
    written.
    """

    number: int
    source: str  # path or address
    target: Path
    content: bytes | None = None
    modified_ns: int | None = None


@dataclass(frozen=True)
class StillsTask:
    """Enhance these images; all targets lie under `root`.

    Images of more than `max_pixels` are refused. `model` is named in the sidecars.
    """

    stills: tuple[Still, ...]
    root: Path
    settings: Settings
    max_pixels: int
    model: ModelFiles | None

    @property
    def output_folder(self) -> Path:
        """The folder that it writes to."""
        return self.root

    def for_remote(self, address: Callable[[str], str], folder: Path) -> StillsTask:
        """The task for a machine that reads the sources at addresses and writes to `folder`."""
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
class StillResult:
    """Result of one image; `failed` says why nothing was written.

    `unwritten`: because the disk refused it.
    """

    number: int
    sha256: str
    faces: int
    seconds: float
    size: int = 0  # bytes written
    written_sha256: str = ""
    refused: int = 0  # faces found and not enhanced
    advice: str | None = None
    failed: str | None = None
    unwritten: bool = False
    incompatible: bool = False  # refused, as something would be lost
    passed_through: str | None = None
    notes: tuple[str, ...] = ()  # what is to be known of the source, what is lost, what goes along


@dataclass(frozen=True)
class StillsResult:
    """Results of a task's images, in their order."""

    stills: tuple[StillResult, ...]

    @property
    def frames(self) -> int:
        return sum(still.failed is None for still in self.stills)

    @property
    def faces(self) -> int:
        return sum(still.faces for still in self.stills)


def enhance_stills(task: StillsTask, progress: Progress) -> StillsResult:
    """Enhance each image and write it with its sidecar; `progress` counts images.

    An image that cannot be read or written is reported as failed, the others go on.
    """
    cv2.setNumThreads(1)
    results = []
    for still in task.stills:
        results.append(_enhance(still, task))
        progress(1)
    return StillsResult(tuple(results))


def pass_stills_through(task: StillsTask, progress: Progress) -> StillsResult:
    """Copy each image unchanged: the fallback when enhancing it keeps failing."""
    results = []
    for still in task.stills:
        began = time.monotonic()
        content = _content(still)
        write_bytes(content, still.target, modified_ns=still.modified_ns)
        seconds, sha256 = time.monotonic() - began, _digest(content)
        results.append(StillResult(still.number, sha256, 0, seconds, len(content), sha256))
        progress(1)
    return StillsResult(tuple(results))


def enhance_image(
    image: StillImage, info: VideoInfo, sha256: str, settings: Settings
) -> tuple[Frame, Analysis, int]:
    """Enhance an image: its frame, the analysis, and the number of restored faces.

    Raises InputError for more faces than the limits allow, and MediaError before the work where the
    file could not hold all that it holds now.
    """
    restore = settings.restore
    tracks, warnings = _found(image.frame, info, settings)
    analysis = Analysis(
        sha256, info.time_base, 1, info.width, info.height, tracks, warnings=warnings
    )
    enhanced, scale = [track for track in tracks if track.enhance], settings.output.scale
    if enhanced or scale > 1:
        check_losses(image, info.path, allow_loss=settings.output.allow_loss)
    if not enhanced:
        return image.frame if scale == 1 else enlarge(image.frame, scale), analysis, 0
    check_crowd(tracks, settings.limits, name=info.path)
    frame, count = restore_image(
        image.frame,
        enhanced,
        restorer_of(restore),
        strength=restore.strength,
        fidelity=restore.fidelity,
        scale=scale,
    )
    return frame, analysis, count


def _found(
    frame: Frame, info: VideoInfo, settings: Settings
) -> tuple[tuple[Track, ...], tuple[str, ...]]:
    """The tracks of an image's faces, whichever way up, and a warning where that is another."""

    def tracks_of(detect: DetectSettings) -> tuple[Track, ...]:
        found = search([frame], _SPAN, anchors=frozenset({0}), settings=detect)
        largest = alignment_of(settings).largest_face
        linked = link([found], detect=detect, settings=settings.link, info=info, largest=largest)
        return choose(linked, settings.choose, info)

    upright = tracks_of(settings.detect)
    if settings.detect.turned != "auto" or shows_sure_face(upright):
        return upright, ()
    others = [
        (tracks_of(settings.detect.model_copy(update={"turned": turn})), turn)
        for turn in (180, 90, 270)
    ]
    best, turn = max(others, key=lambda one: sure_scores(one[0]))
    if shows_sure_face(best):
        return best, (found_turned(turn),)
    return upright, ()


def check_losses(image: StillImage, name: str, *, allow_loss: bool) -> None:
    """Raise MediaError where images that belong to this one would be lost, unless `allow_loss`."""
    lost = image.details.lost
    if lost and not allow_loss:
        raise MediaError(
            f"{name}: {' and '.join(lost)} in the same file would be lost, as facepipe writes "
            f"{image.kind} without; --allow-loss goes on without"
        )


def notes_of(image: StillImage) -> tuple[str, ...]:
    """What is lost where the image is written again, and what goes along, a line each."""
    details = image.details
    lost = [f"lost: {what}" for what in (*details.lost, *details.notes)]
    kept = [f"kept as it was, not enhanced: {what} in the same file" for what in details.companions]
    return (*lost, *kept)


def _enhance(still: Still, task: StillsTask) -> StillResult:
    """Enhance and write one image; a failure is part of its result."""
    began = time.monotonic()
    result = StillResult(still.number, "", 0, 0.0)
    try:
        content = _content(still)
        result = replace(result, sha256=_digest(content))
        result = _write_enhanced(still, task, content, result)
    except (InputError, MediaError, OutputError) as error:
        result = replace(
            result,
            failed=str(error),
            unwritten=isinstance(error, OutputError),
            incompatible=isinstance(error, MediaError),
        )
    return replace(result, seconds=round(time.monotonic() - began, 4))


def _write_enhanced(
    still: Still, task: StillsTask, content: bytes, result: StillResult
) -> StillResult:
    """Enhance the image that `content` holds and write it, with a sidecar where faces changed."""
    name, scale = Path(still.source).name, task.settings.output.scale
    image = read_image(content, name, max_pixels=task.max_pixels)
    _refuse_damage(image, name, task.settings)
    info = image_info(image.frame, image.kind, name)
    frame, analysis, faces = enhance_image(image, info, result.sha256, task.settings)
    written = content  # where no pixel changes, no byte does
    if faces or scale > 1:
        written = write_image(image, frame, note=CONTAINER_TAG if faces else "")
    refused = sum(not track.enhance for track in analysis.tracks)
    lost = notes_of(image) if written is not content else ()
    notes = (*_warnings(image), *analysis.warnings, *lost)
    result = replace(
        result, size=len(written), written_sha256=_digest(written), refused=refused, notes=notes
    )
    if not faces:
        write_bytes(written, still.target, modified_ns=still.modified_ns)
        sidecar_path(still.target).unlink(missing_ok=True)  # of an image that is replaced
        return replace(result, passed_through=_why_not(analysis))
    runs_on = restorer_of(task.settings.restore).description
    report = make_sidecar(
        info=info,
        analysis=analysis,
        settings=task.settings,
        model=task.model,
        parts=[Part(_SPAN, "", 1, faces, runs_on=runs_on)],
        target=still.target,
        target_sha256=result.written_sha256,
        notes=(*notes, *licence_note(task.settings)),
        alignment=alignment_of(task.settings),
    )
    still.target.parent.mkdir(parents=True, exist_ok=True)
    write_sidecar(report, sidecar_path(still.target))
    write_bytes(written, still.target, modified_ns=still.modified_ns)
    return replace(result, faces=faces, advice=scale_advice(analysis, scale))


def _refuse_damage(image: StillImage, name: str, settings: Settings) -> None:
    """Raise InputError for a damaged image where the settings refuse it."""
    if image.damage and settings.strict_input:
        raise InputError(f"{name}: {image.damage}; --strict-input refuses it")


def _warnings(image: StillImage) -> tuple[str, ...]:
    """What is to be known of a source: its damage, and that it was enhanced before."""
    enhanced = CONTAINER_TAG.encode() in image.details.xmp
    return tuple(filter(None, (image.damage, MADE_BY_FACEPIPE if enhanced else "")))


def _why_not(analysis: Analysis) -> str:
    """Why no face was enhanced: the reasons of up to three tracks."""
    reasons = [str(track.reason) for track in analysis.tracks]
    return "; ".join(reasons[:3]) if reasons else "no face was found"


def image_info(frame: Frame, kind: str, name: str) -> VideoInfo:
    """The VideoInfo of a still image: one frame, which lasts a second."""
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
    """The bytes of an image file; InputError where they cannot be read."""
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


def _check_files(source: Path, target: Path, *, overwrite: bool) -> None:
    """Refuse a source that is not there, and a target of another format or that exists."""
    if not is_there(source) or not source.is_file():
        raise InputError(f"{source}: there is no such image")
    kinds = [
        _SAME_FORMAT.get(path.suffix.lower(), path.suffix.lower()) for path in (source, target)
    ]
    if kinds[0] != kinds[1]:
        raise UsageError(
            f"{target.name}: an image keeps its format; name the output *{source.suffix.lower()}"
        )
    check_output(source, target, overwrite)


#: Suffixes of the same format.
_SAME_FORMAT = {
    **dict.fromkeys((".jpeg", ".jfif", ".jpe", ".mpo"), ".jpg"),
    **{".tiff": ".tif", ".heif": ".heic", ".dib": ".bmp"},
}


def enhance_image_file(
    source: Path,
    target: Path,
    settings: Settings,
    *,
    overwrite: bool = False,
    max_pixels: int = MAX_PIXELS,
) -> StillResult:
    """Enhance one image file and write it to `target`, with its sidecar.

    An image in which no face is enhanced is copied byte by byte, unless it is enlarged.
    Raises InputError for a file that is no image, UsageError for a target of another format,
    OutputError for one that cannot be written, MediaError where images in the same file would be
    lost.
    """
    _check_files(source, target, overwrite=overwrite)
    model, _ = check_restorer(settings)
    remove_partials(target.parent, {target.name, sidecar_path(target).name})
    date = date_of(source) if settings.output.dates == "source" else None
    still = Still(0, str(source), target, modified_ns=date)
    task = StillsTask((still,), target.parent, settings, max_pixels, model)
    (done,) = enhance_stills(task, lambda _: None).stills
    if done.incompatible:
        raise MediaError(str(done.failed))
    if done.failed:
        raise (OutputError if done.unwritten else InputError)(done.failed)
    return done


def plan_image(
    source: Path, target: Path, settings: Settings, *, overwrite: bool = False
) -> tuple[StillImage, tuple[str, ...]]:
    """Check all that `enhance_image_file` does before the work: the image, and notes on it.

    Errors: as of that, and MediaError where images in the same file would be lost.
    """
    _check_files(source, target, overwrite=overwrite)
    check_restorer(settings)
    image = read_image(_content(Still(0, str(source), target)), source.name)
    _refuse_damage(image, source.name, settings)
    check_losses(image, source.name, allow_loss=settings.output.allow_loss)
    return image, (*_warnings(image), *notes_of(image))
