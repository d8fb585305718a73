"""The faces of a document before and after: read of its output, or rendered by settings."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from facepipe._system.files import is_image
from facepipe.configs.settings import LimitSettings, Settings
from facepipe.datatypes import Frame, Track, VideoInfo
from facepipe.errors import InputError
from facepipe.faces.tracking.fade import faded
from facepipe.pipeline.preflight import check_restorer
from facepipe.presentation.documents import Document
from facepipe.presentation.moments import Moment, best_times
from facepipe.presentation.variants import look_of
from facepipe.presentation.views import FaceView, read_views, rendered_views, view_of
from facepipe.video import probe
from facepipe.video.shape import shaped
from facepipe.workers.base import Executor
from facepipe.workers.local import LocalExecutor
from facepipe.workers.resources import usable_cores

#: Times at which a track is shown, by the number of tracks up to which they are so many.
_TIMES = ((12, 4), (40, 3), (120, 2))
#: Side of a face, px.
SIDE = 160


def document_info(document: Document, limits: LimitSettings) -> VideoInfo | None:
    """The source of a document as `probe` reads it; None where it was not found."""
    if document.source is None:
        return None
    if is_image(document.source):
        return _read_still(document.source)[0]
    info = probe(document.source, limits, document.stream)
    return shaped(info, f"{document.width}x{document.height}") if info.forms else info


def document_views(
    document: Document,
    info: VideoInfo | None,
    tracks: Sequence[Track],
    settings: Settings,
    executor: Executor | None,
    *,
    times: int | None = None,
    side: int = SIDE,
) -> list[FaceView]:
    """Each of `tracks` at its best times, before and after; empty without the source.

    Refused tracks are shown once, before alone. `times` None: fewer the more tracks there are.
    """
    if info is None:
        return []
    moments = _moments(tracks, info.pts, times or _times(len(tracks)))
    if is_image(Path(info.path)):
        return _still_views(document, info, moments, side)
    with ExitStack() as stack:
        workers = settings.workers or min(usable_cores(), max(len(moments), 1))
        executor = executor or stack.enter_context(LocalExecutor(workers))
        if document.sidecar is None:
            check_restorer(settings)
            whole = faded(document.tracks, document.cut_pts, info, info.pts[0], info.pts[-1] + 1)
            look = look_of(settings)
            return rendered_views(info, moments, whole, [look], side=side, executor=executor)
        output = None if document.output is None else probe(document.output, settings.limits)
        return read_views(
            info, output, moments, earlier=document.earlier, side=side, executor=executor
        )


def _times(count: int) -> int:
    return next((times for most, times in _TIMES if count <= most), 1)


def _moments(tracks: Sequence[Track], frames: Sequence[int], times: int) -> list[Moment]:
    shown: set[int] = set()
    moments = []
    for track in tracks:
        found = best_times(track, frames, times if track.enhance else 1, shown=shown)
        shown.update(found)
        moments += [Moment(track, pts, "typical" if track.enhance else "refused") for pts in found]
    return moments


def _still_views(
    document: Document,
    info: VideoInfo,
    moments: Sequence[Moment],
    side: int,
) -> list[FaceView]:
    """The faces of a photograph."""
    assert document.source is not None
    _, before = _read_still(document.source)
    made = []
    if document.output is not None:
        _, after = _read_still(document.output)
        made = [(after, max(round(after.width / before.width), 1))]
    return [view_of(info, moment, before, made, side=side) for moment in moments]


def _read_still(path: Path) -> tuple[VideoInfo, Frame]:
    """A photograph as its info and its frame. InputError where it cannot be read."""
    from facepipe.images.still import read_image
    from facepipe.pipeline.image_faces import image_info

    try:
        image = read_image(path.read_bytes(), path.name)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    return image_info(image.frame, image.kind, path.name), image.frame
