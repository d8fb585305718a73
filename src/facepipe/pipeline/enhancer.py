"""Enhancement of frames that a program already has, by the steps of a run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, overload
from weakref import WeakSet

import numpy as np

from facepipe.configs.settings import Settings
from facepipe.datatypes import Analysis, Frame, Span, SpanFaces, Track
from facepipe.errors import InputError, UsageError
from facepipe.faces.restore import NEIGHBOUR_FRAMES
from facepipe.faces.tracking.fade import faded
from facepipe.pipeline.analysis_file import rounded
from facepipe.pipeline.feed import Feed, FeedSettings, FrameFeed, IsBusy, VideoFeed, frame_info
from facepipe.pipeline.frame_kinds import Channels, is_one_frame, kind_of
from facepipe.pipeline.image_faces import find_tracks, restore_tracks
from facepipe.pipeline.limits import check_crowd
from facepipe.pipeline.live import enhanced_live
from facepipe.pipeline.networks import Networks
from facepipe.pipeline.passes import Event, OnEvent, linked
from facepipe.pipeline.preflight import check_restorer
from facepipe.pipeline.spans import anchors
from facepipe.pipeline.spool import SpoolSettings
from facepipe.pipeline.tasks import restored_frames, search, tracks_within
from facepipe.pipeline.turning import analyze_any_way_up, likeliest_turn, tried_pts, turn_scores
from facepipe.video.damage import refuse_damage
from facepipe.video.images import VideoImage
from facepipe.workers.resources import trim_memory

AnyFrame = TypeVar("AnyFrame")
#: Frames by rising time: an iterable of them, or a function that gives one each time it is called.
Frames = Iterable[AnyFrame] | Callable[[], Iterable[AnyFrame]]

#: Seconds on both sides of a face in which frames are prepared to be worked on.
_BUSY_SECONDS = 1
#: Frames after which free memory goes back to the system.
_TRIM_FRAMES = 64
_log = logging.getLogger("facepipe")


class FaceEnhancer:
    """Enhances the faces of frames that a program already has.

    Frames are NumPy arrays of H x W x 3 (or H x W, or H x W x 4 with alpha), PyTorch tensors of
    3 x H x W or H x W x 3, both of uint8 or uint16, or PyAV's video frames in any pixel format that
    facepipe reads. What comes out is of the kind that went in, the same object where nothing was
    changed; an equal one where an iterator's frames were kept on disk. All work is done in this
    process; several threads may share one enhancer.

    `channels` is the order of colours in arrays and tensors. `rate` counts frames a second, where
    frames have no times of their own. `threads` are those of each network. Frames of an iterator
    that are needed again are kept on disk, in the folder `spool`, up to `spool_gigabytes`.
    `on_event` is called with an Event for each frame of a pass.

    Of the settings, `workers`, `span_seconds`, `profile_time` and what `output` says of files play
    no part. `stream`, `strict_input`, `output.start`, `output.end` and `output.size` count for the
    path of a video alone; with other frames, `output.start` and `output.end` raise UsageError.
    Raises UsageError for values that make no sense, ModelError for weights that are missing.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        channels: Channels = "rgb",
        rate: Fraction | float = 25,
        threads: int = 1,
        spool: str | Path | None = None,
        spool_gigabytes: float = 16.0,
        on_event: OnEvent | None = None,
    ) -> None:
        settings = Settings() if settings is None else settings
        if not isinstance(settings, Settings):
            raise UsageError(
                f"settings are of type {type(settings).__qualname__}; facepipe.load_settings and "
                "facepipe.Settings make them"
            )
        if channels not in ("rgb", "bgr"):
            raise UsageError(f"channels is {channels!r}; allowed are 'rgb' and 'bgr'")
        if not isinstance(rate, int | float | Fraction) or not 0.001 <= rate <= 10_000:
            raise UsageError(f"rate is {rate!r}; it is in frames a second, from 0.001 to 10000")
        if not isinstance(threads, int) or threads < 1:
            raise UsageError(f"threads is {threads!r}; it is a whole number from 1 on")
        check_restorer(settings)
        folder = None if spool is None else Path(spool)
        exact = Fraction(rate).limit_denominator(100_000)
        self._how = FeedSettings(channels, exact, SpoolSettings(folder, spool_gigabytes))
        self._settings = settings
        self._on_event = on_event
        self._networks = Networks(threads=threads, shared=True)
        self._feeds: WeakSet[FrameFeed] = WeakSet()
        self._is_closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the networks go, and delete what is kept on disk. Nothing can be done afterwards."""
        self._is_closed = True
        for feed in list(self._feeds):
            feed.close()
        self._networks = Networks(shared=True)

    @overload
    def enhance(self, frames: str | Path) -> Iterator[VideoImage]: ...
    @overload
    def enhance(self, frames: Frames[AnyFrame]) -> Iterator[AnyFrame]: ...
    def enhance(self, frames: Any) -> Iterator[Any]:
        """Analyze frames, then render them: what `facepipe run` makes of them, and their order.

        `frames` is an iterable of frames, a function that gives one each time it is called, or the
        path of a video, which gives PyAV's frames. They are read three times (a video file twice):
        for their times, for the faces, and to be rendered. So an iterator, which comes only once,
        is kept on disk meanwhile. The first frame comes when all of them were analyzed.

        Raises InputError for frames that are not of a kind, not alike or not in order.
        """
        feed = self._feed(frames)

        def enhanced() -> Iterator[Any]:
            try:
                analysis = self._analyzed(feed)
                for warning in analysis.warnings:
                    _log.warning(warning)
                yield from self._rendered(feed, analysis)
            finally:
                feed.close()

        return enhanced()

    def analyze(self, frames: str | Path | Frames[Any]) -> Analysis:
        """Find and follow the faces of frames, and decide which are enhanced.

        `frames` are as in `enhance`, and are read twice. Tracks are in pixels and pts of the
        frames; a frame without a time of its own has its number, from 0 on. Errors: as `enhance`.
        """
        feed = self._feed(frames)
        try:
            return self._analyzed(feed)
        finally:
            feed.close()

    @overload
    def render(self, frames: str | Path, analysis: Analysis) -> Iterator[VideoImage]: ...
    @overload
    def render(self, frames: Frames[AnyFrame], analysis: Analysis) -> Iterator[AnyFrame]: ...
    def render(self, frames: Any, analysis: Analysis) -> Iterator[Any]:
        """Restore the faces of frames by an analysis of them, which may have been edited.

        `frames` are as in `enhance`. By an analysis of `FaceEnhancer.analyze` they are read once,
        and come out a few frames later than they go in. Raises InputError where the analysis is of
        frames of another size or time base; else as `enhance`.
        """
        if not isinstance(analysis, Analysis):
            raise UsageError(
                f"the analysis is of type {type(analysis).__qualname__}; analyze() gives one"
            )
        feed = self._feed(frames)

        def rendered() -> Iterator[Any]:
            try:
                yield from self._rendered(feed, analysis)
            finally:
                feed.close()

        return rendered()

    def live(self, frames: Frames[AnyFrame], *, latency: int = 50) -> Iterator[AnyFrame]:
        """Enhance frames as they come, each at most `latency` frames after it went in.

        The faces of a frame are judged by what was seen in the last seconds and by `latency` frames
        ahead, and not by the whole video: a doubtful face may come and go, and one that is seen
        for a moment may be enhanced late. Faces must be upright, or `detect.turned` says how they
        lie. Frames are read once, and nothing is kept on disk.

        Raises UsageError for a latency below 2 * (detect.every + 7), and for `choose.tracks`, as
        the numbers of tracks are not known; else as `enhance`.
        """
        feed = self._feed(frames)
        if isinstance(feed, VideoFeed):
            raise UsageError("live takes frames as they come; enhance takes the path of a video")
        return enhanced_live(feed, self._settings, self._networks, latency=latency)

    def enhance_image(self, frame: AnyFrame) -> AnyFrame:
        """Enhance one frame by itself, as `facepipe run` does with a photograph.

        Raises UsageError for what is no frame, InputError for a frame that facepipe does not take.
        """
        self._check_open()
        if not is_one_frame(frame):
            raise UsageError(
                f"this is of type {type(frame).__qualname__} and no frame: enhance takes many"
            )
        kind = kind_of(frame, self._how.channels)
        info = frame_info(kind, Fraction(1), (0,), (0,))
        image = kind.frame(frame, 0)
        tracks, _ = find_tracks(image, info, self._settings, networks=self._networks)
        made, _ = restore_tracks(image, tracks, info, self._settings, networks=self._networks)
        result: AnyFrame = kind.given(made)
        return result

    def frame_at(self, video: str | Path, pts: int, analysis: Analysis | None = None) -> VideoImage:
        """The frame of a video file at `pts`, in its time base, as the whole video would have it.

        Without an `analysis` of the video, all of it is analyzed first. Raises UsageError where no
        frame has that pts; else as `enhance`.
        """
        feed = self._feed(Path(video))
        assert isinstance(feed, VideoFeed)
        frames = feed.frames_around(pts, NEIGHBOUR_FRAMES)
        analysis = self._analyzed(feed) if analysis is None else analysis
        _check_source(analysis, feed)
        span = Span(0, pts, pts + 1)
        tracks = tracks_within(self._tracks(feed, analysis), span, feed.info)
        for frame in self._restored(frames, span, tracks, feed.info.time_base):
            if frame.pts == pts:
                image: VideoImage = feed.given(frame)
                return image
        raise InputError(f"{video}: the frame at pts {pts} does not decode")

    def _feed(self, frames: Any) -> FrameFeed | VideoFeed:
        self._check_open()
        if isinstance(frames, str | Path):
            return VideoFeed(Path(frames), self._settings)
        feed = FrameFeed(frames, self._settings, self._how)
        self._feeds.add(feed)
        return feed

    def _check_open(self) -> None:
        if self._is_closed:
            raise UsageError("this FaceEnhancer was closed")

    def _analyzed(self, feed: FrameFeed | VideoFeed) -> Analysis:
        """The analysis of a feed, its tracks faded; of a video with what its file tells."""
        info, settings = feed.info, self._settings

        def analyze(chosen: Settings) -> Analysis:
            return linked([self._found(feed, chosen)], info, settings)

        def likeliest() -> int:
            pts = tried_pts(info, feed.span.start, feed.span.stop)
            frames = feed.frames_at(pts)
            scores = turn_scores(frames, settings.detect, info.rotation, networks=self._networks)
            return likeliest_turn(scores, len(pts))

        analysis = rounded(analyze_any_way_up(settings, analyze, likeliest))
        check_crowd(analysis.tracks, settings.limits)
        if isinstance(feed, VideoFeed):
            name = Path(info.path).name
            analysis = replace(analysis, source_sha256=feed.sha256, source_name=name)
            if settings.strict_input:
                refuse_damage(info.path, analysis.damage, info.time_base)
        else:
            analysis = replace(analysis, stream=None)
        return replace(analysis, tracks=self._tracks(feed, analysis))

    def _found(self, feed: FrameFeed | VideoFeed, settings: Settings) -> SpanFaces:
        """The faces of all frames, of which each segment is searched by itself."""
        info, span = feed.info, feed.span
        found = search(
            self._counted(feed.frames(), "analyze", len(info.pts)),
            span,
            anchors=frozenset(anchors(info)) | {span.start},
            settings=settings.detect,
            rotation=info.rotation,
            networks=self._networks,
        )
        if isinstance(feed, VideoFeed):
            return replace(found, damage=feed.damage)
        return found

    def _tracks(self, feed: Feed, analysis: Analysis) -> tuple[Track, ...]:
        """The tracks of an analysis, with the times in which they fade."""
        if all(track.full is not None for track in analysis.tracks):
            return analysis.tracks
        return faded(analysis.tracks, analysis.cuts, feed.info, feed.span.start, feed.span.stop)

    def _rendered(self, feed: FrameFeed | VideoFeed, analysis: Analysis) -> Iterator[Any]:
        check_crowd(analysis.tracks, self._settings.limits)
        if isinstance(feed, VideoFeed):
            _check_source(analysis, feed)
        tracks = tuple(track for track in self._tracks(feed, analysis) if track.enhance)
        frames = _checked(feed, analysis, self._is_busy(tracks, analysis))
        counted = self._counted(frames, "render", analysis.frames)
        # Whatever pts the frames have: what has neither beginning nor end has no neighbours.
        span = Span(0, -(2**63), 2**63)
        for frame in self._restored(counted, span, tracks, analysis.time_base):
            yield feed.given(frame)

    def _is_busy(self, tracks: Sequence[Track], analysis: Analysis) -> IsBusy:
        """Tells of a pts whether a face is near it, or all frames are changed anyway."""
        if self._settings.output.scale > 1:
            return lambda _: True
        reach = round(_BUSY_SECONDS / analysis.time_base)
        first = np.array([track.first - reach for track in tracks], np.int64)
        last = np.array([track.last + reach for track in tracks], np.int64)
        return lambda pts: bool(((first <= pts) & (pts <= last)).any())

    def _restored(
        self, frames: Iterator[Frame], span: Span, tracks: Sequence[Track], time_base: Fraction
    ) -> Iterator[Frame]:
        restore = self._settings.restore
        return restored_frames(
            frames,
            span,
            tracks,
            self._networks.restorer(restore) if tracks else None,
            settings=restore,
            time_base=time_base,
            scale=self._settings.output.scale,
        )

    def _counted(self, frames: Iterator[Frame], stage: str, total: int) -> Iterator[Frame]:
        for number, frame in enumerate(frames, 1):
            if self._on_event is not None:
                self._on_event(Event(stage, min(number, total), total))
            if number % _TRIM_FRAMES == 0:
                trim_memory()
            yield frame


def _check_source(analysis: Analysis, feed: VideoFeed) -> None:
    """Raise InputError where the analysis is of another file."""
    if analysis.source_sha256 and analysis.source_sha256 != feed.sha256:
        raise InputError(
            f"the analysis belongs to another video than {feed.info.path} (sha256 differs)"
        )


def _checked(feed: Feed, analysis: Analysis, is_busy: IsBusy) -> Iterator[Frame]:
    """The frames; InputError where they are not of the size and time base that was analyzed."""
    is_first = True
    for frame in feed.frames(is_busy):
        if is_first and (frame.width, frame.height) != (analysis.width, analysis.height):
            raise InputError(
                f"the analysis is of frames of {analysis.width}x{analysis.height} px, and these "
                f"have {frame.width}x{frame.height}"
            )
        if is_first and feed.time_base != analysis.time_base:
            raise InputError(
                f"the analysis is of frames with the time base {analysis.time_base}, and these "
                f"have {feed.time_base}"
            )
        is_first = False
        yield frame
