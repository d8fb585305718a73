"""Open sources safely, and write targets that appear whole or not at all."""

from __future__ import annotations

import errno
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import IO, BinaryIO, TypeVar, cast

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from facepipe._system.files import FileVersion, atomic_write, is_address, version_of
from facepipe._system.kinds import JPEG_HEAD, kind_of
from facepipe.errors import FacepipeError, InputError, MediaError, OutputError
from facepipe.video.demuxers import UNTIMED, readable
from facepipe.video.pyav.flv import inner_headers
from facepipe.video.pyav.isobmff import is_fragmented as fragments
from facepipe.video.pyav.isobmff import lacks_index, ticks_of_indexes
from facepipe.video.pyav.mpegts import changes_codec, is_transport
from facepipe.video.pyav.texts import TEXTS
from facepipe.video.source_cache import CachedFile, cached_file
from facepipe.video.streams import is_cover
from facepipe.video.timestamps import with_times

#: Suffixes of bare Motion JPEG, which begins as a photograph does.
_MOTION_JPEG = frozenset([".mjpeg", ".mjpg", ".mjpe"])
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)
#: Bytes that are fetched at once of a source on another machine.
_BLOCK = 2**20
#: Bytes within which FFmpeg looks for streams, and by which a transport stream is known.
_PROBED, _TABLE_HEAD = 5 * 2**20, 2048
StreamT = TypeVar("StreamT", bound=Stream)
_SYSTEM_ERRORS = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO),
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR),
    errno.ENAMETOOLONG,
)


def open_source(source: Path | str, *, most_pixels: int | None = None) -> InputContainer:
    """Open a media file; InputError says what is wrong with it otherwise.

    No frame of more than `most_pixels` is decoded while FFmpeg learns what the file holds.
    What is refused is refused for what it does (`demuxers`), not for its name.
    An address ("scheme://..."), such as those of `workers.ray_files`, is read through fsspec, which
    opens nothing but that.
    Within `read_once`, its path is read through its cache.
    """
    if isinstance(source, str) and is_address(source):
        import fsspec  # a tenth of a second, which files of this machine do not need

        system, place = fsspec.core.url_to_fs(source)
        file = system.open(place, "rb", block_size=_BLOCK, cache_type="blockcache")
        return _opened(source, file, most_pixels)
    path = Path(source)
    check_is_file(path)
    # An absolute path cannot be mistaken for a protocol such as "concat:a|b".
    return _opened(path, cached_file(path) or str(path.absolute()), most_pixels)


def check_is_file(path: Path) -> None:
    """Raise InputError unless `path` is a regular file that is not empty."""
    if str(path) == "-":
        raise InputError(
            "- is no file: a source is read twice, so it cannot be stdin; give a video file"
        )
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        if _ADDRESS.match(str(path)):  # a path has one slash of them left
            raise InputError(
                f"{path} does not exist; it looks like an address, which `facepipe batch ADDRESS "
                "-o FOLDER` reads"
            ) from error
        raise InputError(f"{path} does not exist; give a video file") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    if stat.S_ISDIR(status.st_mode):
        raise InputError(
            f"{path} is a folder; give a video file, or `facepipe batch {path} -o FOLDER` for all "
            "that is in it"
        )
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path} is no regular file; give a video file")
    if status.st_size == 0:
        raise InputError(f"{path} is empty; give a video file")


def heads_of(path: Path, container: InputContainer) -> tuple[int, ...]:
    """Byte positions at which further files begin in a source, where FFmpeg reads the first alone.

    Those of Flash video are found; it is read once for them. Errors: InputError.
    """
    if "flv" not in container.format.name.split(","):
        return ()
    with _bytes_of(path) as file:
        return inner_headers(file)


def is_fragmented(path: Path) -> bool:
    """Whether the index of a source, an mp4 or mov, is in fragments. Errors: InputError."""
    with _bytes_of(path) as file:
        return fragments(file, path.stat().st_size)


def joined_files(path: Path, *, fragmented: bool) -> tuple[str, ...]:
    """A warning where several files stand behind each other in a source, an mp4 or mov.

    Fragments of further ones are read, by the index of the first. Errors: InputError.
    """
    with _bytes_of(path) as file:
        ticks = ticks_of_indexes(file, path.stat().st_size)
    if len(ticks) < 2 or (fragmented and all(own == ticks[0] for own in ticks)):
        return ()
    which = "two files were" if len(ticks) == 2 else f"{len(ticks)} files were"
    what = "what follows the first has times of another scale, so that it plays at a wrong rate"
    if not fragmented:
        what = "only the first is read; give the others as files of their own"
    return (f"{which} put one behind the other in it: {what}",)


@contextmanager
def _bytes_of(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a source while they are read. Errors: InputError."""
    try:
        with open_bytes(path) as file:
            yield file
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error


def open_bytes(source: Path) -> BinaryIO:
    """The bytes of a file that `open_source` takes. Errors: OSError as the disk does."""
    return cast("BinaryIO", cached_file(source) or source.open("rb"))


def demuxed(opened: InputContainer, *streams: StreamT) -> Iterator[Packet[StreamT]]:
    """The packets of those streams, or of all that the file began with.

    Transport streams may begin others midway, in damaged ones by mistake. After the last packet
    PyAV gives an empty one for each stream, to empty its decoder, and may ask for one of those.
    Packets of a bare stream without times get some: they follow each other at its header's rate.
    """
    packets = cast("Iterator[Packet[StreamT]]", opened.demux(*streams))
    if opened.format.name in UNTIMED:
        packets = with_times(packets)
    with suppress(IndexError):
        yield from packets


def _opened(
    path: Path | str, file: str | IO[bytes] | CachedFile, most_pixels: int | None
) -> InputContainer:
    try:
        opened = _as_ffmpeg_opens_it(path, file, most_pixels)
    except av.PermissionError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except av.ArgumentError as error:
        raise InputError(
            _what_it_is(path)
            or f"{path} is a playlist or another format that facepipe does not open; "
            "give a file that holds the video itself, such as mp4, mkv, mov, webm, ts or avi"
        ) from error
    except av.FFmpegError as error:
        raise InputError(_what_it_is(path) or _why_unreadable(path, error)) from error
    if not _holds_video(opened) and (known := _what_it_is(path)):
        opened.close()
        raise InputError(known)
    return opened


def _as_ffmpeg_opens_it(
    path: Path | str, file: str | IO[bytes] | CachedFile, most_pixels: int | None
) -> InputContainer:
    options = {"protocol_whitelist": "file", "format_whitelist": readable()}
    # A transport stream may list streams that begin later, in a recording that was joined on.
    if not _changes_codec(path, file):
        options["scan_all_pmts"] = "1"
    opened: InputContainer = av.open(
        file,
        "r",
        format="mjpeg" if _is_motion_jpeg(path, file) else None,
        options={} if most_pixels is None else {"max_pixels": str(most_pixels)},
        container_options=options,
        **TEXTS,
    )
    return opened


def _holds_video(opened: InputContainer) -> bool:
    return any(stream.type == "video" and not is_cover(stream) for stream in opened.streams)


def _why_unreadable(path: Path | str, error: av.FFmpegError) -> str:
    why = describe(error)
    if isinstance(path, Path) and lacks_index(path):
        why = (
            "its index (the moov box) is missing, which cameras write last; "
            "the recording or the copy was cut short"
        )
    return f"{path} is not a readable media file: {why}"


def _what_it_is(path: Path | str) -> str | None:
    """What a file is that is no video, and what can be done with it; None: not known."""
    kind = kind_of(path) if isinstance(path, Path) else None
    return None if kind is None else f"{path} is {kind.name} and no video; {kind.remedy}"


def _changes_codec(path: Path | str, file: str | IO[bytes] | CachedFile) -> bool:
    """Whether a transport stream goes on with another codec, by the bytes that FFmpeg looks at."""
    with suppress(OSError):  # opening it says so in words
        if isinstance(path, Path):
            return _changes_codec_of(path, version_of(path))
        if not isinstance(file, str):
            changes = _changes_codec_within(cast("BinaryIO", file))
            file.seek(0)
            return changes
    return False


@lru_cache(maxsize=64)
def _changes_codec_of(path: Path, _version: FileVersion) -> bool:
    with open_bytes(path) as file:
        return _changes_codec_within(file)


def _changes_codec_within(file: BinaryIO) -> bool:
    head = file.read(_TABLE_HEAD)
    return is_transport(head) and changes_codec(head + file.read(_PROBED))


def _is_motion_jpeg(path: Path | str, file: str | IO[bytes] | CachedFile) -> bool:
    """Whether a file is bare Motion JPEG, by its name and its first bytes.

    FFmpeg takes it for a photograph.
    """
    if Path(path).suffix.lower() not in _MOTION_JPEG:
        return False
    with suppress(OSError):  # opening it says so in words
        if isinstance(file, str):
            with Path(file).open("rb") as opened:
                return opened.read(3) == JPEG_HEAD
        head = file.read(3)
        file.seek(0)
        return head == JPEG_HEAD
    return False


def describe(error: Exception) -> str:
    """FFmpeg's own message, without error numbers where it gives words."""
    if isinstance(error, av.FFmpegError):
        return _last_words(error.log) or str(error.strerror or error)
    return str(error)


def _last_words(log: object) -> str | None:
    """The message of a log entry, which ends with it: (level, component, message)."""
    while isinstance(log, tuple) and log:
        log = log[-1]
    return log.strip() if isinstance(log, str) else None


def as_facepipe_error(error: Exception, doing: str) -> FacepipeError:
    """OutputError for what the system refuses (disk, permission), else MediaError."""
    number = error.errno if isinstance(error, OSError | av.FFmpegError) else None
    if number in _SYSTEM_ERRORS:
        return OutputError(f"{doing} failed: {describe(error)}")
    return MediaError(f"{doing} failed: {describe(error)}")


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Write a video file atomically (`atomic_write`); FFmpeg's errors become facepipe's."""
    # Absolute, because FFmpeg takes what stands before a colon for a protocol.
    target = target.absolute()
    with atomic_write(target) as partial:
        try:
            yield partial
        except (OSError, av.FFmpegError) as error:
            raise as_facepipe_error(error, f"writing {target}") from error
