"""The faces of one image: found whichever way up, followed nowhere, and restored."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from facepipe.configs.settings import DetectSettings, Settings
from facepipe.datatypes import Frame, Span, Track, VideoInfo
from facepipe.faces.restoration.enlarge import enlarge
from facepipe.faces.restore import restore_image
from facepipe.faces.tracking.link import link
from facepipe.pipeline.limits import check_crowd
from facepipe.pipeline.networks import Networks
from facepipe.pipeline.preflight import alignment_of
from facepipe.pipeline.selection import choose
from facepipe.pipeline.tasks import PROCESS, search
from facepipe.pipeline.turning import TURNS, found_turned, shows_sure_face, sure_scores

#: The only frame of an image, of pts 0.
IMAGE_SPAN = Span(0, 0, 1)


def find_tracks(
    frame: Frame, info: VideoInfo, settings: Settings, *, networks: Networks = PROCESS
) -> tuple[tuple[Track, ...], tuple[str, ...]]:
    """The tracks of an image's faces, whichever way up, and a warning where that is another."""

    def tracks_of(detect: DetectSettings) -> tuple[Track, ...]:
        found = search(
            [frame],
            IMAGE_SPAN,
            anchors=frozenset({0}),
            settings=detect,
            rotation=info.rotation,
            networks=networks,
        )
        largest = alignment_of(settings).largest_face
        linked = link([found], detect=detect, settings=settings.link, info=info, largest=largest)
        return choose(linked, settings.choose, info)

    upright = tracks_of(settings.detect)
    if settings.detect.turned != "auto" or shows_sure_face(upright):
        return upright, ()
    others = [
        (tracks_of(settings.detect.model_copy(update={"turned": turn})), turn) for turn in TURNS
    ]
    best, turn = max(others, key=lambda one: sure_scores(one[0]))
    if shows_sure_face(best):
        return best, (found_turned(turn),)
    return upright, ()


def restore_tracks(
    frame: Frame,
    tracks: Sequence[Track],
    info: VideoInfo,
    settings: Settings,
    *,
    networks: Networks = PROCESS,
) -> tuple[Frame, int]:
    """The frame of an image with its faces restored, and their number.

    Raises InputError for more faces than the limits allow.
    """
    restore, scale = settings.restore, settings.output.scale
    enhanced = [track for track in tracks if track.enhance]
    if not enhanced:
        return frame if scale == 1 else enlarge(frame, scale), 0
    check_crowd(tracks, settings.limits, name=info.path)
    return restore_image(
        frame,
        enhanced,
        networks.restorer(restore),
        strength=restore.strength,
        fidelity=restore.fidelity,
        scale=scale,
    )


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
