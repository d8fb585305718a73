"""Languages of the tracks of mp4 and mov by BCP 47 ("pt-BR"), which FFmpeg does not hand on."""

from __future__ import annotations

import io
from contextlib import suppress
from typing import BinaryIO

from facepipe.video.pyav.isobmff import boxed, boxes_in, boxes_to, whole_boxes, with_part
from facepipe.video.pyav.private_boxes import LARGEST_INDEX, track_id

_BOX = b"elng"


def box_language_tags(file: BinaryIO) -> dict[int, str]:
    """The tags of an mp4's or mov's tracks that have one, by id. OSError as the disk does."""
    size = file.seek(0, io.SEEK_END)
    moov = next((box for box in whole_boxes(file, size) if box.kind == b"moov"), None)
    if moov is None or moov.end - moov.begin > LARGEST_INDEX:
        return {}
    file.seek(moov.begin)
    index = file.read(moov.end - moov.begin)
    found = {}
    for track in boxes_in(index, moov.header, len(index)):
        begin = track.begin + track.header
        way = boxes_to(index, begin, track.end, (b"mdia", _BOX)) if track.kind == b"trak" else []
        if way:
            inner = list(boxes_in(index, begin, track.end))
            tag = index[way[-1].begin + way[-1].header + 4 : way[-1].end].rstrip(b"\0")
            with suppress(UnicodeDecodeError):
                found[track_id(index, inner)] = tag.decode("ascii")
    return found


def with_language_tag(track: bytes, tag: str | None) -> bytes:
    """A track's box, whole, with a language by BCP 47; None: as it is."""
    way = boxes_to(track, 0, len(track), (b"trak", b"mdia", b"mdhd"))
    if tag is None or not way or boxes_to(track, 0, len(track), (b"trak", b"mdia", _BOX)):
        return track
    end = way[-1].end
    return with_part(track, way[:-1], end, end, boxed(_BOX, bytes(4) + tag.encode() + b"\0"))
