"""Trial mux: the first frames and packets written to a container, to see what it keeps."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection
from dataclasses import dataclass, replace
from fractions import Fraction
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
from facepipe.video.holdings import holdings_of
from facepipe.video.muxing.mux import write_head
from facepipe.video.pixel_formats import colour_of, views, working_format, writable_views
from facepipe.video.pyav.log import CapturedLog, captured_log
from facepipe.video.sources import open_source
from facepipe.video.streams import is_video

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
    """Writes a few frames of one source, by one encoder, to any container.

    `fragmented` says whether an mp4 or mov is written in fragments.
    """

    def __init__(
        self,
        source: Path,
        info: VideoInfo,
        settings: EncodeSettings,
        folder: Path,
        place: int | None = None,
    ) -> None:
        """Encode frames into `folder`: the first ones, or the one at pts `place`.

        MediaError where the encoder refuses them.
        """
        self._source, self._info, self._folder = source, info, folder
        self.fragmented = False
        with open_source(source) as opened:
            self._videos = [stream.index for stream in opened.streams if is_video(stream)]
        begin = 0 if place is None else bisect_left(info.pts, place)
        stop = begin + (_FRAMES if place is None else 1)
        span = Span(0, info.pts[begin], info.pts[min(stop, len(info.pts)) - 1] + 1)
        path = folder / f"{settings.codec}-{begin}.part"
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
                    fragmented=self.fragmented,
                )
            return self._kept(target, leave_out)
        except OutputError:
            raise
        except (FacepipeError, av.FFmpegError, ValueError) as error:
            lines = log.lines(container_of(target).muxer)
            return lines[-1].rstrip(".") if lines else str(error)
        finally:
            target.unlink(missing_ok=True)

    def _kept(self, target: Path, leave_out: Collection[int]) -> TrialMux:
        """What a target kept."""
        index, first = self._begin(target, leave_out)
        container = container_of(target)
        earlier = moved_by(self._info.clock, kept=container.keeps_clock)
        late = first - (self._part.span.start * self._info.time_base - earlier)
        if container.keeps_clock:  # which FFmpeg reads from the wrap on, or below zero
            late -= round(late / WRAP_SECONDS) * WRAP_SECONDS
        return TrialMux(properties_of(target, index), float(earlier), float(late))

    def _begin(self, target: Path, leave_out: Collection[int]) -> tuple[int, Fraction]:
        """The index of the video in a target, and when its first frame is shown, in seconds."""
        before = [i for i in self._videos if i < self._info.stream_index]
        place = sum(index not in leave_out for index in before)
        with open_source(target) as opened:
            video = [one for one in opened.streams if is_video(one)][place]
            first = min(p.pts for p in opened.demux(video) if p.size and p.pts is not None)
            assert video.time_base is not None
            return video.index, first * video.time_base


def holdings_at(info: VideoInfo) -> frozenset[str]:
    """What the source's frames hold at the places where they begin to hold more."""
    frames = (frame for place in info.places for frame in decode(info, Span(0, place, place + 1)))
    handles = [frame.handle for frame in frames if isinstance(frame.handle, av.VideoFrame)]
    return frozenset(name for handle in handles for name in holdings_of(handle))


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
