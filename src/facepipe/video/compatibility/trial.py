"""Trial mux: the first frames and packets written to a container, to see what it keeps."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import av

from facepipe.datatypes import Frame, Part, Span, VideoInfo
from facepipe.errors import FacepipeError, MediaError, OutputError
from facepipe.video.clock import WRAP_SECONDS, moved_by
from facepipe.video.compatibility.properties import FileProperties, properties_of
from facepipe.video.containers import container_of
from facepipe.video.decode import decode
from facepipe.video.encode import encode
from facepipe.video.encoders.settings import EncodeSettings
from facepipe.video.muxing.mux import write_head
from facepipe.video.pixel_formats import colour_of, views, working_format, writable_views
from facepipe.video.pyav.log import CapturedLog, captured_log
from facepipe.video.sources import open_source
from facepipe.video.streams import main_video

_FRAMES = 3
_PACKETS = 32  # of each other stream


@dataclass(frozen=True)
class TrialMux:
    """What was read back of a trial mux.

    Its times are meant to be `earlier` than the source's by so many seconds; its video begins
    `late` seconds after that.
    """

    properties: FileProperties
    earlier: float
    late: float


class TrialMuxer:
    """Writes the beginning of one source, by one encoder, to any container."""

    def __init__(
        self, source: Path, info: VideoInfo, settings: EncodeSettings, folder: Path
    ) -> None:
        """Encode the first frames into `folder`. MediaError where the encoder refuses them."""
        self._source, self._info, self._folder = source, info, folder
        last = info.pts[min(_FRAMES, len(info.pts)) - 1]
        span = Span(0, info.pts[0], last + 1)
        path = folder / f"{settings.codec}.part"
        small = replace(settings, scale=1)
        frames = decode(info, span)
        # Where no frame decodes, a blank one still shows what the container takes.
        first = next(frames, None) or _blank(info)
        try:
            count = encode(chain([first], frames), path, info=info, span=span, settings=small)
        except ValueError as error:  # a codec that parts cannot hold
            raise MediaError(f"{settings.codec}: {error}") from error
        self._part = Part(span, str(path), count, 0)

    def write(self, suffix: str, leave_out: Collection[int]) -> TrialMux | str:
        """Write to the container of that suffix; what it kept, or why it refuses.

        Errors: OutputError where the disk refuses.
        """
        target = self._folder / f"video{suffix}"
        log = CapturedLog()
        try:
            with captured_log() as log:
                write_head(
                    self._part,
                    self._source,
                    self._info,
                    target,
                    leave_out=leave_out,
                    max_packets=_PACKETS,
                )
            with open_source(target) as opened:
                video = main_video(target, opened.streams)
                index, base = video.index, video.time_base
                first = min(p.pts for p in opened.demux(video) if p.size and p.pts is not None)
            assert base is not None
            container = container_of(target)
            earlier = moved_by(self._info.clock, kept=container.keeps_clock)
            late = first * base - (self._info.pts[0] * self._info.time_base - earlier)
            if container.keeps_clock:  # which FFmpeg reads from the wrap on, or below zero
                late -= round(late / WRAP_SECONDS) * WRAP_SECONDS
            return TrialMux(properties_of(target, index), float(earlier), float(late))
        except OutputError:
            raise
        except (FacepipeError, av.FFmpegError, ValueError) as error:
            lines = log.lines(container_of(target).muxer)
            return lines[-1].rstrip(".") if lines else str(error)
        finally:
            target.unlink(missing_ok=True)


def _blank(info: VideoInfo) -> Frame:
    format = working_format(info.pix_fmt)
    frame = av.VideoFrame(info.width, info.height, format.name)
    for plane in writable_views(frame):
        plane[...] = 0
    frame.pts, frame.time_base = info.pts[0], info.time_base
    return Frame(
        pts=info.pts[0],
        format=format,
        colour=colour_of(frame),
        planes=views(frame),
        handle=frame,
    )
