"""Pictures of single frames, as they are and as a run would make them; made in a process apart.

A video that ends its decoder ends that process alone. It keeps the frames that it decoded last and
their restored faces, so that another strength, fidelity or scale shows at once.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from facepipe._system.files import version_of
from facepipe.configs.settings import RestoreSettings
from facepipe.datatypes import Crops, Frame, Restored, Span, Track, VideoInfo
from facepipe.errors import FacepipeError, MediaError
from facepipe.faces.colour import to_bgr8
from facepipe.faces.restoration.crop import crop
from facepipe.faces.restoration.enlarge import enlarge
from facepipe.faces.restoration.paste import paste
from facepipe.faces.restoration.temporal import SMOOTHING_RADIUS, smoothed
from facepipe.faces.restore import NEIGHBOUR_FRAMES, NEIGHBOUR_SECONDS
from facepipe.models.restorers import Restorer, create_restorer
from facepipe.pipeline.passes import slim_info
from facepipe.pipeline.tasks import tracks_within
from facepipe.presentation.crops import Rgb, Shown, upright
from facepipe.presentation.images import jpeg_bytes
from facepipe.presentation.moments import Moment, best_times
from facepipe.presentation.views import Look, read_views
from facepipe.video import decode
from facepipe.workers.local import LocalExecutor
from facepipe.workers.resources import usable_cores

#: Longest side of a picture, px: larger ones are made smaller.
_LONGEST_SIDE = 3840
#: Side of a thumbnail, px, and how many are kept.
THUMBNAIL_SIDE, _THUMBNAILS = 112, 2_000


@dataclass(frozen=True, eq=False)
class FrameTask:
    """Show the frame at `pts`: as it is, or with the faces of `tracks` as `look` makes them."""

    info: VideoInfo
    pts: int
    tracks: tuple[Track, ...] = ()
    look: Look | None = None

    @property
    def output_folder(self) -> None:
        """It writes nothing."""
        return

    def for_remote(self, address: Callable[[str], str], folder: Path) -> FrameTask:  # noqa: ARG002
        """The same for a machine that reads the source at its address."""
        return replace(self, info=replace(self.info, path=address(self.info.path)))


class Pictures:
    """Makes pictures, from any thread: one process for frames, and one for thumbnails."""

    def __init__(self) -> None:
        self._frames = LocalExecutor(1, isolated=True)
        self._faces = LocalExecutor(1, isolated=True)
        self._thumbnails: OrderedDict[tuple[Any, ...], bytes] = OrderedDict()

    def frame(
        self, info: VideoInfo, pts: int, tracks: Sequence[Track] = (), look: Look | None = None
    ) -> bytes:
        """A JPEG of the frame at `pts`, upright; see FrameTask. Errors: those of the worker."""
        span = Span(0, pts, pts + 1)
        wanted = tracks_within(tracks, span, info) if look is not None else ()
        task = FrameTask(slim_info(info), pts, tuple(wanted), look)
        (outcome,) = self._frames.map(show_frame, [task], progress=lambda _: None)
        if outcome.result is None:
            raise outcome.error or FacepipeError("the frame could not be shown")
        return outcome.result

    def thumbnail(self, info: VideoInfo, track: Track) -> bytes | None:
        """A JPEG of a track's face where it is seen best; None: no frame shows it."""
        times = best_times(track, info.pts, 1)
        if not times:
            return None
        key = (version_of(Path(info.path)), times[0], track.box_at(times[0]).tobytes())
        if key not in self._thumbnails:
            moments = [Moment(track, times[0], "typical")]
            views = read_views(
                info, None, moments, earlier=Fraction(0), side=THUMBNAIL_SIDE, executor=self._faces
            )
            if not views:
                return None
            self._thumbnails[key] = jpeg_bytes(views[0].before, enhanced=False)
            while len(self._thumbnails) > _THUMBNAILS:
                self._thumbnails.popitem(last=False)
        return self._thumbnails[key]

    def close(self) -> None:
        """End the processes; no other thread may wait for a picture."""
        self._frames.close()
        self._faces.close()

    def stop(self) -> None:
        """End the pictures that are being made."""
        self._frames.stop()
        self._faces.stop()


def show_frame(task: FrameTask, progress: Callable[[int], None]) -> bytes:
    """Decode and, with a look, restore the frame of a task; a JPEG. MediaError: not decoded."""
    cv2.setNumThreads(usable_cores())
    around = _frames_around(task.info, task.pts)
    frame = next((frame for frame in around if frame.pts == task.pts), None)
    if frame is None:
        raise MediaError(f"{Path(task.info.path).name}: the frame at pts {task.pts} is damaged")
    tracks = [track for track in task.tracks if track.enhance and track.covers(task.pts)]
    if task.look is not None:
        frame = _rendered(frame, around, tracks, task.look, task.info)
    progress(1)
    shown = Shown.of(task.info.rotation, None)
    image = _small_enough(to_bgr8(frame)[..., ::-1])
    return jpeg_bytes(upright(image, shown), enhanced=task.look is not None and bool(tracks))


def _rendered(
    frame: Frame, around: Sequence[Frame], tracks: Sequence[Track], look: Look, info: VideoInfo
) -> Frame:
    """The frame as a run with this look would have it, before it is encoded."""
    if not tracks:
        return frame if look.scale == 1 else enlarge(frame, look.scale)
    crops, faces = _restored(frame, around, tracks, look.restore, info)
    restore = look.restore
    (made,) = paste(
        [frame],
        crops,
        faces,
        strength=restore.strength,
        fidelity=restore.fidelity,
        scale=look.scale,
    )
    return made


#: Of the frames that are in _LAST: the faces of the one in the middle, by tracks and network.
_MOST_RESTORED = 8
_RESTORED: dict[object, tuple[Crops, Restored]] = {}


def _restored(
    frame: Frame,
    around: Sequence[Frame],
    tracks: Sequence[Track],
    restore: RestoreSettings,
    info: VideoInfo,
) -> tuple[Crops, Restored]:
    """The faces of a frame, as they were and restored; see `faces.restore.render_frames`."""
    network = _of_the_network(restore)
    key = (network, *(_digest(track) for track in tracks))
    if key not in _RESTORED:
        if len(_RESTORED) >= _MOST_RESTORED:
            _RESTORED.clear()
        gap = NEIGHBOUR_SECONDS / float(info.time_base)
        at = around.index(frame)
        begin, end = max(at - SMOOTHING_RADIUS, 0), at + SMOOTHING_RADIUS + 1
        window = range(begin, min(end, len(around)))
        restorer = _restorer(network)
        crops = crop(
            around,
            tracks,
            window=window,
            max_gap_pts=gap,
            alignment=restorer.contract.alignment,
            fused=restorer.contract.neighbours,
        )
        batch = (around[begin:end], crops, restorer(crops))
        done = smoothed([batch], max_gap_pts=gap)
        _RESTORED[key] = next((own, faces) for shown, own, faces in done if shown.pts == frame.pts)
    return _RESTORED[key]


def _digest(track: Track) -> bytes:
    """A digest of all in a track that its restored face depends on."""
    digest = hashlib.sha256(f"{track.number} {track.full}".encode())
    for values in (track.pts, track.boxes, track.landmarks):
        digest.update(values.tobytes())
    return digest.digest()


def _small_enough(image: Rgb) -> Rgb:
    ratio = _LONGEST_SIDE / max(image.shape[:2])
    if ratio >= 1:
        return image
    size = (max(round(image.shape[1] * ratio), 1), max(round(image.shape[0] * ratio), 1))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


#: The frames that were decoded last, and the file and the stream that they are of.
_LAST: list[tuple[object, list[Frame]]] = []


def _frames_around(info: VideoInfo, pts: int) -> list[Frame]:
    """The frame at `pts` and NEIGHBOUR_FRAMES on each side, as far as there are."""
    key = (version_of(Path(info.path)), info.stream_index, info.width, info.height, pts)
    if not _LAST or _LAST[0][0] != key:
        _LAST.clear()
        _RESTORED.clear()
        span = Span(0, pts, pts + 1)
        frames = decode(
            info,
            span,
            before=NEIGHBOUR_FRAMES,
            beyond=NEIGHBOUR_FRAMES,
            threads=usable_cores(),
        )
        _LAST[:] = [(key, list(frames))]
    return _LAST[0][1]


def _of_the_network(restore: RestoreSettings) -> RestoreSettings:
    """Those settings alone that decide what the network computes."""
    return RestoreSettings(
        restorer=restore.restorer,
        device=restore.device,
        runtime=restore.runtime,
        mirrored=restore.mirrored,
    )


@lru_cache(maxsize=3)
def _restorer(restore: RestoreSettings) -> Restorer:
    return create_restorer(
        restore.restorer,
        device=restore.device,
        runtime=restore.runtime,
        threads=usable_cores(),
        mirrored=restore.mirrored,
    )
