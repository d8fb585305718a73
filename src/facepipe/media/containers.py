"""Opening sources safely, and writing targets that appear whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import av
import fsspec
from av.container import InputContainer

from facepipe.errors import FacepipeError, InputError, MediaError, OutputError, UsageError

# Files that hold a film by themselves. Playlists (hls, dash, concat, ...) are left out on
# purpose: they make a reader open other files and addresses that the user never named.
_DEMUXERS = (
    "mov,mp4,m4a,3gp,3g2,mj2",
    "matroska,webm",
    "mpegts",
    "mpeg",
    "avi",
    "flv",
    "asf",
    "nut",
    "mxf",
    "ogg",
    "gif",
    "yuv4mpegpipe",
    "ivf",
    "dv",
    "rm",
    "wtv",
    "apng",
)
#: Bytes that are fetched at once of a source on another machine.
_BLOCK = 2**20
_MUXERS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
    ".ts": "mpegts",
    ".m2ts": "mpegts",
    ".nut": "nut",
}
#: Suffixes of films that can be written.
WRITTEN_SUFFIXES = frozenset(_MUXERS)
_SYSTEM_ERRORS = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO),
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR),
)


def is_address(name: str) -> bool:
    """Whether a source or a target is an address that fsspec knows, and no path."""
    return "://" in name


def open_source(source: Path | str) -> InputContainer:
    """Open a media file; InputError says what is wrong with it otherwise.

    An address such as `workers.lent` gives ("scheme://...") is read through fsspec, which opens
    nothing but that.
    """
    if isinstance(source, str) and is_address(source):
        system, place = fsspec.core.url_to_fs(source)
        file = system.open(place, "rb", block_size=_BLOCK, cache_type="blockcache")
        return _opened(source, file)
    path = Path(source)
    if not path.exists():
        raise InputError(f"{path} does not exist; give a video file")
    if path.is_dir():
        raise InputError(f"{path} is a directory; give a video file")
    if not path.is_file():
        raise InputError(f"{path} is no regular file; give a video file")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty; give a video file")
    # An absolute path cannot be mistaken for a protocol such as "concat:a|b".
    return _opened(path, str(path.absolute()))


def _opened(path: Path | str, file: str | BinaryIO) -> InputContainer:
    options = {
        "protocol_whitelist": "file",
        "format_whitelist": ",".join(_DEMUXERS),
    }
    try:
        return av.open(
            file,
            "r",
            container_options=options,
            metadata_errors="surrogateescape",
        )
    except av.PermissionError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except av.ArgumentError as error:
        raise InputError(
            f"{path} is a playlist or another format that facepipe does not read; "
            "give a file that holds the video itself, such as mp4, mkv, mov, webm, ts or avi"
        ) from error
    except av.FFmpegError as error:
        raise InputError(f"{path} is not a readable media file: {describe(error)}") from error


def muxer_of(target: Path) -> str:
    """The name of FFmpeg's muxer for a target's suffix; UsageError for others."""
    try:
        return _MUXERS[target.suffix.lower()]
    except KeyError:
        raise UsageError(
            f"cannot tell the container of {target.name!r} by its suffix; "
            f"use one of {', '.join(_MUXERS)}"
        ) from None


def describe(error: Exception) -> str:
    """FFmpeg's own message, without error numbers where it gives words."""
    if isinstance(error, av.FFmpegError):
        said: object = error.log  # level, who says it, what
        while isinstance(said, tuple) and said:
            said = said[-1]
        return said.strip() if isinstance(said, str) else str(error.strerror or error)
    return str(error)


def as_facepipe_error(error: Exception, doing: str) -> FacepipeError:
    """OutputError for what the system refuses (disk, permission), else MediaError."""
    number = error.errno if isinstance(error, OSError | av.FFmpegError) else None
    if number in _SYSTEM_ERRORS:
        return OutputError(f"{doing} failed: {describe(error)}")
    return MediaError(f"{doing} failed: {describe(error)}")


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A hidden name beside the target that takes its place only if all goes well.

    The file reaches the disk before it is renamed; after any exception nothing is left behind.
    """
    # Absolute, because FFmpeg takes what stands before a colon for a protocol.
    target = target.absolute()
    temporary = target.with_name(f".{target.stem}.partial{target.suffix}")
    try:
        temporary.unlink(missing_ok=True)
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        temporary.replace(target)
    except (OSError, av.FFmpegError) as error:
        raise as_facepipe_error(error, f"writing {target}") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
