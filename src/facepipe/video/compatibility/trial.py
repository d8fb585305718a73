"""The beginning of the film to be made, made at once, to see what becomes of everything else."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import av

from facepipe.datatypes import Frame, Part, Span, VideoInfo
from facepipe.errors import FacepipeError, MediaError, OutputError
from facepipe.video.compatibility.properties import Traits, traits_of
from facepipe.video.containers import muxer_of
from facepipe.video.decode import decode
from facepipe.video.encode import encode
from facepipe.video.encoders.settings import EncodeSettings
from facepipe.video.muxing.mux import write_head
from facepipe.video.pixel_formats import colour_of, views, working_format, writable_views
from facepipe.video.pyav.log import Heard, listening
from facepipe.video.sources import open_source
from facepipe.video.streams import main_video

_PICTURES = 3
_PACKETS = 512  # of the other streams together


@dataclass(frozen=True)
class TrialMux:
    """What the beginning of a film is like once it is written; `late` seconds after the source."""

    traits: Traits
    late: float


class Miniatures:
    """Writes the beginning of one source with one encoder into several containers."""

    def __init__(
        self, source: Path, info: VideoInfo, settings: EncodeSettings, folder: Path
    ) -> None:
        """Encode the first pictures into `folder`. MediaError where the encoder refuses them."""
        self._source, self._info, self._folder = source, info, folder
        last = info.pts[min(_PICTURES, len(info.pts)) - 1]
        span = Span(0, info.pts[0], last + 1)
        path = folder / f"{settings.codec}.part"
        small = replace(settings, scale=1)
        frames = decode(info, span)
        # Where no picture decodes, an empty one still shows what the container takes.
        first = next(frames, None) or _empty(info)
        pictures = chain([first], frames)
        try:
            count = encode(pictures, path, info=info, span=span, settings=small)
        except ValueError as error:  # a codec that parts cannot hold
            raise MediaError(f"{settings.codec}: {error}") from error
        self._part = Part(span, str(path), count, 0)

    def written(self, suffix: str, leave_out: Collection[int]) -> TrialMux | str:
        """The film's beginning in the container of that suffix, or why that refuses it.

        Errors: OutputError where the disk refuses.
        """
        target = self._folder / f"film{suffix}"
        heard = Heard()
        try:
            with listening() as heard:
                write_head(
                    self._part, self._source, self._info, target, leave_out=leave_out, most=_PACKETS
                )
            with open_source(target) as opened:
                video = main_video(target, opened.streams)
                index, base = video.index, video.time_base
                first = min(p.pts for p in opened.demux(video) if p.size and p.pts is not None)
            assert base is not None
            late = float(first * base - self._info.pts[0] * self._info.time_base)
            return TrialMux(traits_of(target, index), late)
        except OutputError:
            raise
        except (FacepipeError, av.FFmpegError, ValueError) as error:
            said = heard.lines(muxer_of(target))
            return said[-1].rstrip(".") if said else str(error)
        finally:
            target.unlink(missing_ok=True)


def _empty(info: VideoInfo) -> Frame:
    format = working_format(info.pix_fmt)
    picture = av.VideoFrame(info.width, info.height, format.name)
    for plane in writable_views(picture):
        plane[...] = 0
    picture.pts, picture.time_base = info.pts[0], info.time_base
    return Frame(
        pts=info.pts[0],
        format=format,
        colour=colour_of(picture),
        planes=views(picture),
        handle=picture,
    )
