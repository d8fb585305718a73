"""Other programs that read what facepipe writes: one module each, one interface (`base.Reader`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

from conformance.readers.base import Reader
from conformance.readers.chromium import Chromium, MediaSource
from conformance.readers.exiftool import ExifTool
from conformance.readers.gstreamer import GStreamer
from conformance.readers.mediainfo import MediaInfo
from conformance.readers.mkvtoolnix import MkvToolNix
from conformance.readers.mpv import Mpv
from conformance.readers.opencv import OpenCv
from conformance.readers.photographs import Exiv2, Pillow, Vips
from conformance.readers.shaka import Shaka
from conformance.readers.vlc import Vlc

READERS: Sequence[Reader] = (
    GStreamer(),
    Vlc(),
    Mpv(),
    Chromium(),
    MediaSource(),
    OpenCv(),
    MkvToolNix(),
    MediaInfo(),
    ExifTool(),
    Shaka(),
    Pillow(),
    Vips(),
    Exiv2(),
)


@cache
def versions() -> Mapping[str, str]:
    """The readers that are installed, by name, and their versions."""
    found = {reader.name: reader.version() for reader in READERS}
    return {name: version for name, version in found.items() if version is not None}


def installed() -> Sequence[Reader]:
    """The readers that are installed."""
    return [reader for reader in READERS if reader.name in versions()]


def missing() -> Sequence[str]:
    """The names of those that are not."""
    return [reader.name for reader in READERS if reader.name not in versions()]
