"""The beginning of the film to be made, made at once, to see what becomes of everything else."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import av

from facepipe.errors import FacepipeError, InputError, MediaError, OutputError
from facepipe.frames import Part, Span, VideoInfo
from facepipe.media.containers import open_source
from facepipe.media.decode import decode
from facepipe.media.encode import encode
from facepipe.media.encoders import EncodeSettings
from facepipe.media.mux import write_head
from facepipe.media.probe import main_video
from facepipe.media.traits import Traits, traits_of

_PICTURES = 3
_PACKETS = 512  # of the other streams together


@dataclass(frozen=True)
class Miniature:
    """What the beginning of a film is like once it is written; `late` seconds after the source."""

    traits: Traits
    late: float


class Miniatures:
    """Writes the beginning of one source with one encoder into several containers."""

    def __init__(
        self, source: Path, info: VideoInfo, settings: EncodeSettings, folder: Path
    ) -> None:
        """Encode the first pictures into `folder`.

        Errors: InputError where none decodes, MediaError where the encoder refuses them.
        """
        self._source, self._info, self._folder = source, info, folder
        last = info.pts[min(_PICTURES, len(info.pts)) - 1]
        span = Span(0, info.pts[0], last + 1)
        path = folder / f"{settings.codec}.part"
        small = replace(settings, scale=1)
        frames = decode(info, span)
        first = next(frames, None)
        if first is None:
            raise InputError(f"{source}: its first {_PICTURES} pictures do not decode")
        pictures = chain([first], frames)
        try:
            count = encode(pictures, path, info=info, span=span, settings=small)
        except ValueError as error:  # a codec that parts cannot hold
            raise MediaError(f"{settings.codec}: {error}") from error
        self._part = Part(span, str(path), count, 0)

    def written(self, suffix: str, leave_out: Collection[int]) -> Miniature | str:
        """The film's beginning in the container of that suffix, or why that refuses it.

        Errors: OutputError where the disk refuses.
        """
        target = self._folder / f"film{suffix}"
        try:
            with _heard() as said:
                write_head(
                    self._part, self._source, self._info, target, leave_out=leave_out, most=_PACKETS
                )
            with open_source(target) as opened:
                video = main_video(target, opened.streams)
                index, base = video.index, video.time_base
                first = min(p.pts for p in opened.demux(video) if p.size and p.pts is not None)
            assert base is not None
            late = float(first * base - self._info.pts[0] * self._info.time_base)
            return Miniature(traits_of(target, index), late)
        except OutputError:
            raise
        except (FacepipeError, av.FFmpegError, ValueError) as error:
            return said[-1].rstrip(".") if said else str(error)
        finally:
            target.unlink(missing_ok=True)


@contextmanager
def _heard() -> Iterator[list[str]]:
    """What FFmpeg's log calls errors meanwhile: it alone says why a container refuses."""
    said: list[str] = []
    level, once = av.logging.get_level(), av.logging.get_skip_repeated()
    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(False)
    try:
        with av.logging.Capture() as log:
            try:
                yield said
            finally:
                said += [text.strip() for _, _, text in log]
    finally:
        av.logging.set_level(level)
        av.logging.set_skip_repeated(once)
