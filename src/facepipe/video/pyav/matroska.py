"""Descriptions of tracks in Matroska and WebM: what FFmpeg does not hand on, read and set.

FFmpeg's muxer knows no languages of BCP 47, and PyAV has no way to tell it the shape of pixels. So
the muxer is made to leave room in the description of a track (`ROOM`), in which the rest is put
when the file is whole. Nothing else in the file moves, whatever its size. This goes when they learn
it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from facepipe.video.pyav.ebml import element, elements, filled, find_tracks, unsigned

#: What is appended to the title of a track, so that there is room to describe it.
ROOM = " " * 128
NAME, LANGUAGE_TAG, DEFAULT_DURATION = b"\x53\x6e", b"\x22\xb5\x9d", b"\x23\xe3\x83"
VIDEO, AUDIO = b"\xe0", b"\xe1"
PIXEL_WIDTH, PIXEL_HEIGHT = b"\xb0", b"\xba"
DISPLAY_WIDTH, DISPLAY_HEIGHT, DISPLAY_UNIT = b"\x54\xb0", b"\x54\xba", b"\x54\xb2"
INTERLACED, FIELD_ORDER = b"\x9a", b"\x9d"
COLOUR, CHROMA_SITING = b"\x55\xb0", (b"\x55\xb7", b"\x55\xb8")
BIT_DEPTH = b"\x62\x64"
_ENTRY, _TYPE, _CODEC = b"\xae", b"\x83", b"\x86"
_READ_TYPES = (1, 2, 17, 33)  # video, audio, subtitles and metadata, which become streams


class Description:
    """The elements of a description in their order, by name."""

    def __init__(self, data: bytes) -> None:
        inner = elements(data, 0, len(data))
        self._elements = [(one.name, data[one.content : one.end]) for one in inner]

    def __getitem__(self, name: bytes) -> bytes | None:
        return next((content for other, content in self._elements if other == name), None)

    def __setitem__(self, name: bytes, content: bytes) -> None:
        for number, (other, _) in enumerate(self._elements):
            if other == name:
                self._elements[number] = name, content
                return
        self._elements.append((name, content))

    def __delitem__(self, name: bytes) -> None:
        self._elements = [pair for pair in self._elements if pair[0] != name]

    def __bytes__(self) -> bytes:
        return b"".join(element(name, content) for name, content in self._elements)

    def number(self, name: bytes) -> int | None:
        """A whole number in it."""
        content = self[name]
        return None if content is None else int.from_bytes(content, "big")

    def set_number(self, name: bytes, value: int | None) -> None:
        """Set a whole number in it; None: there is none."""
        if value is None:
            del self[name]
        else:
            self[name] = unsigned(value)

    def within(self, name: bytes) -> Description:
        """The description in it that has that name."""
        return Description(self[name] or b"")


def track_descriptions(file: BinaryIO) -> list[Description]:
    """Those of tracks that FFmpeg makes streams of, in their order. OSError as the disk does."""
    tracks = find_tracks(file)
    if tracks is None:
        return []
    file.seek(tracks.content)
    data = file.read(tracks.end - tracks.content)
    found = [
        Description(data[one.content : one.end])
        for one in elements(data, 0, len(data))
        if one.name == _ENTRY
    ]
    return [one for one in found if one.number(_TYPE) in _READ_TYPES and one[_CODEC]]


def language_tag(track: Description) -> str | None:
    """The language of a track by BCP 47, where it has one."""
    tag = (track[LANGUAGE_TAG] or b"").rstrip(b"\0").decode("ascii", errors="ignore")
    return tag or None


def describe_tracks(path: Path, changes: Sequence[Callable[[Description], None] | None]) -> None:
    """Change the descriptions of a file's tracks, one of `changes` for each, in their place.

    Their titles end with ROOM, which is taken for the changes. Errors: OSError as the disk does,
    ValueError where there is no room.
    """
    with path.open("r+b") as file:
        tracks = find_tracks(file)
        if tracks is None:
            raise ValueError(f"{path.name} describes no tracks")
        file.seek(tracks.content)
        data = file.read(tracks.end - tracks.content)
        left, parts = iter(changes), []
        for one in elements(data, 0, len(data)):
            change = next(left, None) if one.name == _ENTRY else None
            if change is None:
                parts.append(data[one.begin : one.end])
                continue
            track = Description(data[one.content : one.end])
            _take_room(track)
            change(track)
            parts.append(element(_ENTRY, bytes(track)))
        made = filled(b"".join(parts), len(data))
        file.seek(tracks.content)
        file.write(made)


def _take_room(track: Description) -> None:
    title = (track[NAME] or b"").removesuffix(ROOM.encode())
    if title:
        track[NAME] = title
    else:
        del track[NAME]
