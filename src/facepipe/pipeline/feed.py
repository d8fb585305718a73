"""Frames of a program or of a video file, which the passes read one after another."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from facepipe._system.files import sha256_of
from facepipe.configs.settings import Settings
from facepipe.datatypes import Damage, Frame, Span, VideoInfo
from facepipe.errors import InputError, UsageError
from facepipe.pipeline.frame_kinds import Channels, Kind, is_one_frame, kind_of
from facepipe.pipeline.preflight import plan_run
from facepipe.pipeline.spool import Spool, SpoolSettings
from facepipe.video import DecodeReport, decode, probe
from facepipe.video.images import VideoImage, image_of, set_time
from facepipe.video.probe import check_size

#: Tells of a pts whether planes are to be contiguous, as they will be worked on.
IsBusy = Callable[[int], bool]


class Feed(Protocol):
    """Frames by rising pts, to be read once or several times."""

    @property
    def info(self) -> VideoInfo:
        """What a video's `probe` says; of frames of a program this takes a reading."""
        ...

    @property
    def span(self) -> Span:
        """All frames that are wanted."""
        ...

    @property
    def time_base(self) -> Fraction:
        """The time base of the frames; where a program gives them, from the first one on."""
        ...

    def frames(self, is_busy: IsBusy | None = None) -> Iterator[Frame]:
        """All frames from the first one on."""
        ...

    def frames_at(self, pts: Sequence[int]) -> Iterator[Frame]:
        """The frames of these pts, which rise."""
        ...

    def given(self, frame: Frame) -> Any:
        """A Frame of this feed, changed or not, as the caller knows frames."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class FeedSettings:
    """How frames of a program are understood: order of channels, frames a second, and storage."""

    channels: Channels
    rate: Fraction
    spool: SpoolSettings


class FrameFeed:
    """Frames that a program gives: an iterable of them, or a function that gives one each time.

    An iterator comes only once: where its frames are needed again, they are kept in a `Spool`.
    Raises UsageError for one frame, InputError for frames that are not alike or not in order.
    """

    def __init__(
        self,
        frames: Iterable[Any] | Callable[[], Iterable[Any]],
        settings: Settings,
        how: FeedSettings,
    ) -> None:
        if is_one_frame(frames):
            raise UsageError(
                "this is one frame: enhance_image takes one, the others take an iterable of them"
            )
        if not callable(frames) and not isinstance(frames, Iterable):
            raise UsageError(
                f"frames are of type {type(frames).__qualname__}; allowed are an iterable of "
                "frames, a function that gives one each time, and the path of a video"
            )
        if (settings.output.start, settings.output.end) != (None, None):
            raise UsageError(
                "output.start and output.end are for video files; give the frames between them"
            )
        self._source, self._settings, self._how = frames, settings, how
        self._comes_once = isinstance(frames, Iterator)
        self._was_read = False
        self._times: list[int] | None = None
        self._spool: Spool | None = None
        self._rests: list[object] = []
        self.kind: Kind | None = None

    @cached_property
    def info(self) -> VideoInfo:
        times: list[int] = []
        keyframes: list[int] = []
        spool = Spool(self._how.spool) if self._comes_once else None
        try:
            for pts, given in self._read():
                assert self.kind is not None
                times.append(pts)
                if self.kind.is_keyframe(given):
                    keyframes.append(pts)
                if spool is not None:
                    arrays, rest = self.kind.packed(given)
                    spool.append(arrays)
                    self._rests.append(rest)
        except BaseException:
            if spool is not None:
                spool.close()
            raise
        self._spool, self._times = spool, times
        if self.kind is None:
            raise InputError("there is not one frame")
        # Of frames that nobody coded each can be the first, as of video that has keyframes alone.
        return frame_info(self.kind, self.time_base, tuple(times), tuple(keyframes or times))

    @property
    def span(self) -> Span:
        return Span(0, self.info.pts[0], self.info.pts[-1] + 1)

    @property
    def time_base(self) -> Fraction:
        return (self.kind and self.kind.time_base) or 1 / self._how.rate

    def frames(self, is_busy: IsBusy | None = None) -> Iterator[Frame]:
        for pts, given in self._read():
            assert self.kind is not None
            yield self.kind.frame(given, pts, contiguous=is_busy is None or is_busy(pts))

    def frames_at(self, pts: Sequence[int]) -> Iterator[Frame]:
        wanted = set(pts)
        return (frame for frame in self.frames(lambda at: at in wanted) if frame.pts in wanted)

    def given(self, frame: Frame) -> Any:
        assert self.kind is not None
        return self.kind.given(frame)

    def close(self) -> None:
        if self._spool is not None:
            self._spool.close()

    def _read(self) -> Iterator[tuple[int, Any]]:
        """Each frame with its pts. A second reading must give the frames of the first."""
        times = self._times
        last: int | None = None
        number = -1
        for number, given in enumerate(self._opened()):
            if self.kind is None:
                self.kind = kind_of(given, self._how.channels)
                check_size(Path("frames"), self.kind.width, self.kind.height, self._settings.limits)
            self.kind.check(given, number)
            own = self.kind.pts(given)
            pts = number if own is None else own
            if last is not None and pts <= last:
                raise InputError(
                    f"frame {number} has pts {pts}, which does not lie after {last}, the one "
                    "before; frames come in the order in which they are shown"
                )
            if times is not None and times[number : number + 1] != [pts]:
                raise _differ_from(number)
            last = pts
            yield pts, given
        if times is not None and number + 1 < len(times):
            raise _differ_from(number + 1)

    def _opened(self) -> Iterator[Any]:
        if self._spool is not None:
            assert self.kind is not None
            for number, rest in enumerate(self._rests):
                yield self.kind.unpacked(self._spool.read(number), rest)
            return
        if self._comes_once and self._was_read:
            raise UsageError("these frames come only once, and were read before")
        self._was_read = True
        yield from self._source() if callable(self._source) else self._source


def _differ_from(number: int) -> InputError:
    return InputError(
        f"the frames were not the same when they were read again: from number {number} on they "
        "differ; a function must give them from the first one on each time"
    )


class _DamageReport(DecodeReport):
    """What is wrong with frames, and not what they hold, as nothing is written.

    A frame that was asked for its side data keeps its pixels until the collector comes by.
    """

    def hold(self, frame: VideoImage, pts: int) -> None:
        """Nothing."""


class VideoFeed:
    """The frames of a video file, as a run decodes them. Errors: as `probe` and `plan_run`."""

    def __init__(self, path: Path, settings: Settings) -> None:
        self._plan = plan_run(probe(path, settings.limits, settings.stream), settings)
        self._report = _DamageReport()
        self._path = path

    @property
    def info(self) -> VideoInfo:
        return self._plan.info

    @property
    def span(self) -> Span:
        return Span(0, self._plan.spans[0].start, self._plan.spans[-1].stop)

    @property
    def time_base(self) -> Fraction:
        return self.info.time_base

    @cached_property
    def sha256(self) -> str:
        """The digest of the file."""
        return sha256_of(self._path)

    @property
    def damage(self) -> tuple[Damage, ...]:
        """What was found while frames were read."""
        return self._report.damage(self.info.pts)

    def frames(self, is_busy: IsBusy | None = None) -> Iterator[Frame]:  # noqa: ARG002
        return decode(self.info, self.span, report=self._report)

    def frames_at(self, pts: Sequence[int]) -> Iterator[Frame]:
        for number, one in enumerate(pts):
            yield from decode(self.info, Span(number, one, one + 1))

    def frames_around(self, pts: int, count: int) -> Iterator[Frame]:
        """The frame at `pts` and up to `count` on each side. UsageError: there is none at pts."""
        times = self.info.pts
        at = bisect_left(times, pts)
        if at == len(times) or times[at] != pts:
            near = " and ".join(str(one) for one in times[max(at - 1, 0) : at + 1])
            raise UsageError(f"{self._path}: no frame has pts {pts}; near it are {near}")
        return decode(self.info, Span(0, pts, pts + 1), before=count, beyond=count)

    def given(self, frame: Frame) -> Any:
        made = image_of(frame, frame.format.name, source_height=self.info.height)
        return set_time(made, frame.pts, self.info.time_base)

    def close(self) -> None:
        """Nothing: files are closed where reading ends."""


def frame_info(
    kind: Kind, time_base: Fraction, pts: tuple[int, ...], keyframe_pts: tuple[int, ...]
) -> VideoInfo:
    """The VideoInfo of frames of a program."""
    return VideoInfo(
        path="frames",
        container="",
        stream_index=0,
        codec="rawvideo",
        width=kind.width,
        height=kind.height,
        pix_fmt=kind.format.name,
        time_base=time_base,
        pts=pts,
        keyframe_pts=keyframe_pts,
        rotation=kind.rotation,
        sample_aspect_ratio=None,
        others=(),
    )
