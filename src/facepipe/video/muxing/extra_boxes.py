"""Boxes of mp4 and mov that FFmpeg's muxer does not write, put into a target that is closed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from av.container import InputContainer

from facepipe.video.containers import MOV
from facepipe.video.muxing.target_streams import MuxJob, TargetStreams
from facepipe.video.muxing.xmp_boxes import with_mark
from facepipe.video.pyav.copied_boxes import copy_private_boxes
from facepipe.video.pyav.header_data import header_boxes, scaled
from facepipe.video.pyav.own_keys import keys_box
from facepipe.video.pyav.private_boxes import (
    PrivateBoxes,
    private_boxes,
    scaled_boxes,
    without_views,
)
from facepipe.video.sources import open_bytes

_LARGEST_OF_TRIAL = 2**16  # bytes of each box that are copied to see whether it is kept


@dataclass(frozen=True)
class ExtraBoxes:
    """The boxes for one target, whose `tracks` had those ids in the source."""

    boxes: PrivateBoxes
    source: Path
    tracks: Sequence[int | None]
    languages: Sequence[str | None]  # of those tracks, by BCP 47
    largest: int | None

    def put_into(self, target: Path) -> None:
        """Put them into a target that is written whole. Errors: OSError as the disk does."""
        if self.boxes or any(self.languages):
            tracks = list(zip(self.tracks, self.languages, strict=True))
            with open_bytes(self.source) as given:
                copy_private_boxes(self.boxes, given, target, tracks, largest=self.largest)


def extra_boxes(
    job: MuxJob, opened: InputContainer, streams: TargetStreams, keys: Mapping[str, str]
) -> ExtraBoxes:
    """What a target needs beside what FFmpeg writes: nothing where it is no mp4 or mov.

    `keys` are those of the metadata that FFmpeg's muxer has no field for.
    """
    boxes, video = PrivateBoxes(), streams.original
    languages: list[str | None] = []
    one_view = job.video.info.has_second_view and job.video.sample is not None
    if job.container.isobmff:
        scale = job.video.scale
        if MOV.matches(opened.format.name):
            with open_bytes(job.video.source) as given:
                boxes = scaled_boxes(private_boxes(given), video.id, scale)
        else:
            described = scaled(header_boxes(video), scale)
            entries = {video.id: tuple(described.values())} if described else {}
            boxes = replace(boxes, entries=entries)
        if one_view:
            boxes = without_views(boxes, video.id)
        stored = keys_box(keys, quicktime=job.container is MOV)
        boxes = replace(boxes, moov=(*boxes.moov, *([stored] if stored else [])))
        boxes = _marked(boxes, job)
        languages = job.headers.tags_of(streams.sources)
    largest = None if job.max_packets is None else _LARGEST_OF_TRIAL
    return ExtraBoxes(boxes, job.video.source, streams.tracks, languages, largest)


def _marked(boxes: PrivateBoxes, job: MuxJob) -> PrivateBoxes:
    """The boxes with XMP that tells of a network's work, where there is some."""
    if not job.note or job.container.xmp is None:
        return boxes
    info, scale = job.video.info, job.video.scale
    size = info.width * scale, info.height * scale
    with open_bytes(job.video.source) as given:
        return with_mark(boxes, given, job.container.xmp, job.note, size)


def may_move(path: Path) -> bool:
    """Whether what an mp4 or mov holds may move: no table of a maker says where it lies.

    Other programs keep FFmpeg's own tables right, and no others. Errors: OSError as the disk does.
    """
    with open_bytes(path) as file:
        return not private_boxes(file).blocks
