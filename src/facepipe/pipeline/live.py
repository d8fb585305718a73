"""Enhancement of frames as they come, a bounded number of frames late.

Frames are taken in blocks. Each is searched by itself, as a segment of a video is. A block is
rendered when the next one was searched too, by tracks that are linked through both and through the
blocks of the last seconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from facepipe.configs.settings import Settings
from facepipe.datatypes import Analysis, Frame, Span, SpanFaces, Track, VideoInfo
from facepipe.errors import UsageError
from facepipe.faces.restore import NEIGHBOUR_FRAMES
from facepipe.faces.tracking.fade import faded
from facepipe.pipeline.feed import FrameFeed, frame_info
from facepipe.pipeline.limits import check_crowd
from facepipe.pipeline.networks import Networks
from facepipe.pipeline.passes import linked
from facepipe.pipeline.tasks import restored_frames, search
from facepipe.workers.resources import trim_memory

#: Time before a block that counts when its faces are linked and judged.
HISTORY_SECONDS = 4.0
#: Frames of a block beyond those between two searches: its end must not look like a track's end.
_MARGIN = NEIGHBOUR_FRAMES + 2


def least_latency(settings: Settings) -> int:
    """The shortest latency in frames: two blocks of the least size."""
    return 2 * (settings.detect.every + _MARGIN)


def enhanced_live(
    feed: FrameFeed, settings: Settings, networks: Networks, *, latency: int
) -> Iterator[Any]:
    """The frames of a feed enhanced, each after at most `latency` further ones were read.

    Holds 3/2 * `latency` frames. Raises UsageError for a latency that is too short, and for
    settings that need the whole video.
    """
    least = least_latency(settings)
    if not isinstance(latency, int) or latency < least:
        raise UsageError(
            f"latency is {latency!r}; it is a whole number of frames, at least {least} where faces "
            f"are looked for in every {settings.detect.every}th frame (detect.every)"
        )
    if settings.choose.tracks is not None:
        raise UsageError("choose.tracks needs the numbers of tracks, which live() does not know")
    return _Live(feed, settings, networks, latency // 2).run()


class _Live:
    """Takes frames in blocks, and gives each block when the one after it was searched."""

    def __init__(self, feed: FrameFeed, settings: Settings, networks: Networks, size: int) -> None:
        self._feed, self._settings, self._networks = feed, settings, networks
        self._size = size
        self._passed: deque[Frame] = deque(maxlen=NEIGHBOUR_FRAMES)  # frames that were given
        self._waiting: list[list[Frame]] = []  # blocks that were searched and not given
        self._found: deque[SpanFaces] = deque()
        self._times: deque[int] = deque()

    def run(self) -> Iterator[Any]:
        """All frames, enhanced."""
        block: list[Frame] = []
        for frame in self._feed.frames():
            if len(block) == self._size:
                yield from self._advance(block, [frame])
                block = []
            block.append(frame)
        if block:
            yield from self._advance(block, [])
        for block in self._waiting:
            yield from self._render(block, [])

    def _advance(self, block: list[Frame], beyond: list[Frame]) -> Iterator[Any]:
        """Search a block, given the frame after it, and give the block before it."""
        self._search(block, beyond)
        self._waiting.append(block)
        if len(self._waiting) > 1:
            yield from self._render(self._waiting.pop(0), block)

    def _search(self, block: Sequence[Frame], beyond: Sequence[Frame]) -> None:
        stop = beyond[0].pts if beyond else block[-1].pts + 1
        span = Span(0, block[0].pts, stop)
        info = self._info(())
        found = search(
            chain(block, beyond),
            span,
            anchors=frozenset({span.start, span.stop}),
            settings=self._settings.detect,
            rotation=info.rotation,
            networks=self._networks,
        )
        self._found.append(found)
        self._times.extend(frame.pts for frame in block)
        oldest = span.start - HISTORY_SECONDS / float(info.time_base)
        while self._found[0].span.stop <= oldest:
            self._found.popleft()
        while self._times[0] < self._found[0].span.start:
            self._times.popleft()

    def _render(self, block: Sequence[Frame], after: Sequence[Frame]) -> Iterator[Any]:
        """Give a block, of which the frames `after` it are known."""
        stop = after[0].pts if after else block[-1].pts + 1
        span = Span(0, block[0].pts, stop)
        tracks = self._tracks(span)
        around = chain(self._passed, block, after[:NEIGHBOUR_FRAMES]) if tracks else iter(block)
        restorer = self._networks.restorer(self._settings.restore) if tracks else None
        for frame in restored_frames(
            around,
            span,
            tracks,
            restorer,
            settings=self._settings.restore,
            time_base=self._feed.time_base,
            scale=self._settings.output.scale,
        ):
            yield self._feed.given(frame)
        self._passed.extend(block)
        trim_memory()

    def _tracks(self, span: Span) -> tuple[Track, ...]:
        """The tracks to enhance near a span, by all that was found up to now."""
        info = self._info(tuple(self._times))
        analysis: Analysis = linked(tuple(self._found), info, self._settings)
        check_crowd(analysis.tracks, self._settings.limits)
        # What lasts to the end of what was searched goes on: only what ends before fades out.
        at = max(len(info.pts) - _MARGIN - self._settings.detect.every, 0)
        stop = max(info.pts[at], span.stop)
        tracks = faded(analysis.tracks, analysis.cuts, info, info.pts[0], stop)
        return tuple(
            track
            for track in tracks
            if track.enhance and track.first < span.stop and track.last >= span.start
        )

    def _info(self, pts: tuple[int, ...]) -> VideoInfo:
        assert self._feed.kind is not None
        return frame_info(self._feed.kind, self._feed.time_base, pts, pts[:1])
