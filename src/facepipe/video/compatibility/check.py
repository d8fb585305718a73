"""Compatibility of a source with a target: list all that would be lost before the work starts."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path

from av.container import InputContainer
from av.stream import Stream

from facepipe.datatypes import VideoInfo
from facepipe.errors import MediaError, OutputError, UsageError
from facepipe.video.clock import WRAP_SECONDS
from facepipe.video.compatibility.differences import (
    Incompatibility,
    describe,
    differences,
    either,
    grouped,
    of_forms,
    of_pixels,
    of_times,
    of_user_data,
)
from facepipe.video.compatibility.properties import FileProperties, holding, properties_of
from facepipe.video.compatibility.trial import TrialMux, TrialMuxer, holdings_at
from facepipe.video.containers import HOMELESS, SUGGESTED, Container, container_of
from facepipe.video.encoders.settings import EncodeSettings, find_encoder
from facepipe.video.muxing.handover import can_go_on
from facepipe.video.muxing.pace import frame_pace
from facepipe.video.muxing.readback import first_audio
from facepipe.video.muxing.subtitles import converted_to, loses_style
from facepipe.video.pixel_formats import FULL_RANGE
from facepipe.video.shape import aspect_at
from facepipe.video.sources import open_source
from facepipe.video.streams import codec_name, header_of, is_timecode, is_written_by_muxer

#: Encoders that are named where one would keep more, the widespread ones first, made quick.
_OTHER_ENCODERS = {
    "libx264": (("preset", "ultrafast"),),
    "libx265": (("preset", "ultrafast"),),
    "libvpx-vp9": (("deadline", "realtime"), ("cpu-used", "8")),
    "libsvtav1": (("preset", "12"),),
    "prores_ks": (),
    "ffv1": (),
}

#: The encoder that nearly all containers take.
_USUAL = "libx264"
#: Seconds at which clocks begin without a meaning: muxers of transport streams leave room.
_USUAL_BEGIN = 10
#: Seconds since 1970 between which a recording may have been made: 1990 to 2100.
_EARLIEST_DATE, _LATEST_DATE = 631152000, 4102444800


@dataclass(frozen=True)
class Compatibility:
    """How a source goes into a target: what is lost, and what becomes something else."""

    incompatibilities: tuple[Incompatibility, ...] = ()
    changes: tuple[str, ...] = ()
    holdings: frozenset[str] = frozenset()  # what the source's frames hold, as far as is known

    @property
    def leave_out(self) -> tuple[int, ...]:
        """Indices of the source's streams that are not copied."""
        return tuple(_indices(self.incompatibilities))

    def loses(self, one: Incompatibility) -> bool:
        """Whether the same thing is lost here, whatever the cause."""
        return any(lost.what in (one.what, one.part_of) for lost in self.incompatibilities)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user reads, a line for each."""
        return (*describe(self.incompatibilities), *self.changes)


def check_target(
    source: Path,
    info: VideoInfo,
    target: Path,
    *,
    settings: EncodeSettings,
    allow_loss: bool = False,
    fragmented: bool = False,
) -> Compatibility:
    """How `source` goes into `target`; raise before hours of work if something would be lost.

    `settings.pix_fmt` None means that nobody asked for a pixel format, so that what the encoder
    drops counts. What nothing can keep is reported, not refused. Errors: UsageError for an unknown
    suffix, OutputError for a missing folder, MediaError that names every loss and what would hold
    all, unless `allow_loss`; MediaError for an encoder that the container does not take.
    """
    container = container_of(target)
    if not target.absolute().parent.is_dir():
        raise OutputError(f"the folder of {target} does not exist; make it first")
    with tempfile.TemporaryDirectory() as folder, open_source(source) as opened:
        checker = _Checker(source, opened, info, settings, Path(folder), fragmented=fragmented)
        suffix = target.suffix.lower()
        compatibility = checker.check(suffix)
        refused = [one for one in compatibility.incompatibilities if one.avoidable]
        if refused and not allow_loss:
            why = "; ".join(f"{whats}: {why}" for whats, why in grouped(refused))
            raise MediaError(
                f"{container.muxer} cannot hold {why}; {checker.advice(suffix, refused)}"
                "--allow-loss goes on without"
            )
    return compatibility


class _Checker:
    """Tries a source in containers, and with other encoders where one loses something."""

    def __init__(
        self,
        source: Path,
        opened: InputContainer,
        info: VideoInfo,
        settings: EncodeSettings,
        folder: Path,
        *,
        fragmented: bool,
    ) -> None:
        self._source, self._info, self._settings = source, info, settings
        self._folder, self._fragmented = folder, fragmented
        self._others = [s for s in opened.streams if s.index != info.stream_index]
        self._before = properties_of(source, info.stream_index)
        if info.forms and not info.own_tags:
            full_range, colour = info.tags[0] == FULL_RANGE, info.tags[1:]
            self._before = replace(self._before, full_range=full_range, colour=colour)
        self._before = holding(self._before, holdings_at(info))
        self._muxers: dict[tuple[str, int | None], TrialMuxer | None] = {}
        self._found: dict[tuple[str, str], Compatibility | str] = {}

    def check(self, suffix: str) -> Compatibility:
        """How the source goes into one container, with what would keep each thing that is lost.

        MediaError where the container does not take the encoder's video.
        """
        found = self._into(suffix, self._settings)
        if isinstance(found, str):
            raise MediaError(self._refusal(suffix, found))
        named = tuple(self._with_alternatives(one, suffix) for one in found.incompatibilities)
        return replace(found, incompatibilities=named)

    def advice(self, suffix: str, refused: Sequence[Incompatibility]) -> str:
        """Words that name what keeps all of it, or else most of it."""
        here = self._into(suffix, self._settings)
        assert isinstance(here, Compatibility)
        names = {one.what for one in refused}
        never = {one.what for one in here.incompatibilities} - names
        least, best = len(names), ""
        for name, found in chain.from_iterable(self._alternatives(suffix)):
            lost = len({one.what for one in found.incompatibilities} - never)
            if lost == 0:
                return f"use {name}, which keeps all of it, or "
            if lost < least:
                least, best = lost, f"use {name}, which keeps more of it, or "
        return best or f"use {either(refused[0].instead)} for {refused[0].what}, or "

    def _with_alternatives(self, one: Incompatibility, suffix: str) -> Incompatibility:
        for group in self._alternatives(suffix) if one.why != HOMELESS else ():
            kept = tuple(name for name, found in group if not found.loses(one))
            if kept:
                return replace(one, instead=kept)
        return one

    def _alternatives(self, suffix: str) -> Iterator[Iterator[tuple[str, Compatibility]]]:
        """Other containers, other encoders in this one, then both: each by name."""
        others = [other for other in SUGGESTED if other != suffix]
        yield self._compatible([(other, other, self._settings) for other in others])
        yield self._compatible(
            [(f"--codec {c}", suffix, made) for c, made in self._others_than(self._settings.codec)]
        )
        if self._settings.codec != _USUAL:
            usual = EncodeSettings(_USUAL, _OTHER_ENCODERS[_USUAL])
            yield self._compatible([(f"{o} with --codec {_USUAL}", o, usual) for o in others])

    def _compatible(
        self, alternatives: Sequence[tuple[str, str, EncodeSettings]]
    ) -> Iterator[tuple[str, Compatibility]]:
        for name, suffix, settings in alternatives:
            found = self._into(suffix, settings)
            if isinstance(found, Compatibility):
                yield name, found

    def _others_than(self, codec: str) -> list[tuple[str, EncodeSettings]]:
        scale = self._settings.scale
        named = _OTHER_ENCODERS.items()
        return [(c, EncodeSettings(c, how, scale=scale)) for c, how in named if c != codec]

    def _refusal(self, suffix: str, why: str) -> str:
        names = [name for group in islice(self._alternatives(suffix), 2) for name, _ in group]
        codec = find_encoder(self._settings.codec).canonical_name
        return (
            f"{container_of(suffix).muxer} cannot hold stream {self._info.stream_index} "
            f"(video, {codec} of {self._settings.codec}): {why}; "
            f"use {either(names) or 'another encoder'}"
        )

    def _into(self, suffix: str, settings: EncodeSettings) -> Compatibility | str:
        """How the source goes into a container, or why that does not take the encoder's video."""
        key = suffix, settings.codec
        if key not in self._found:
            self._found[key] = self._tried(suffix, settings)
        return self._found[key]

    def _tried(self, suffix: str, settings: EncodeSettings) -> Compatibility | str:
        container, info = container_of(suffix), self._info
        try:
            codec = find_encoder(settings.codec).canonical_name
        except UsageError as error:
            return str(error)
        if not container.takes(codec):
            return f"{container.muxer} takes no {codec}"
        refused = self._refused_streams(container)
        muxer = self._trial_muxer(settings)
        if muxer is None:
            return "its frames cannot be encoded so"
        written = muxer.write(suffix, _indices(refused))
        if isinstance(written, str):
            refused += self._culprits(muxer, suffix, _indices(refused))
            written = muxer.write(suffix, _indices(refused))
        if isinstance(written, str):
            return written
        gone = [*_indices(refused), *(s.index for s in self._others if is_written_by_muxer(s))]
        where = f"{container.muxer} of {codec}"
        kept = holding(
            written.properties, self._kept_at_places(settings, suffix, _indices(refused))
        )
        before = self._before_like(kept, written.earlier)
        found = (
            *refused,
            *self._lost_styles(container),
            *of_times(info, container),
            *self._lost_headers(container, gone),
            *of_user_data(info, codec),
            *differences(before, kept, gone, where),
            *of_pixels(info, settings, self._before, kept),
            *of_forms(info, container, codec),
        )
        changes = (
            *self._conversions(container),
            *self._delay(written.late, container),
            *self._new_clock(written.earlier),
            *self._worked_out(container),
        )
        return Compatibility(found, changes, self._before.holdings)

    def _before_like(self, kept: FileProperties, earlier: float) -> FileProperties:
        """What the source holds, at the target's clock and with that of its aspects."""
        info, before = self._info, self._before.earlier(earlier)
        if kept.aspect in {Fraction(aspect_at(info, one.first) or 1) for one in info.forms}:
            return replace(before, aspect=kept.aspect)  # others are reported in their own words
        return before

    def _kept_at_places(
        self, settings: EncodeSettings, suffix: str, without: Sequence[int]
    ) -> frozenset[str]:
        """What frames still hold, of those where the source begins to hold more."""
        kept: frozenset[str] = frozenset()
        for place in self._info.places:
            muxer = self._trial_muxer(settings, place)
            written = muxer.write(suffix, without) if muxer is not None else ""
            if isinstance(written, TrialMux):
                kept |= written.properties.holdings
        return kept

    def _culprits(
        self, muxer: TrialMuxer, suffix: str, without: Sequence[int]
    ) -> Iterator[Incompatibility]:
        """The streams that a container refuses though its row says that it takes them."""
        copied = [s for s in self._others if s.index not in without and not is_written_by_muxer(s)]
        for stream in copied:
            rest = [*without, *(other.index for other in copied if other is not stream)]
            why = muxer.write(suffix, rest)
            if isinstance(why, str):
                yield Incompatibility(_named(stream), why, stream=stream.index)

    def _lost_styles(self, container: Container) -> Iterator[Incompatibility]:
        for stream in self._others:
            codec = converted_to(stream, container)
            if codec is not None and loses_style(stream):
                what = f"the styles and places of {_named(stream)}"
                yield Incompatibility(what, f"{codec} has none", part_of=_named(stream))

    def _lost_headers(self, container: Container, gone: Sequence[int]) -> Iterator[Incompatibility]:
        """What stands under a header that the container cannot go on with."""
        infos = {info.index: info for info in self._info.others if info.index not in gone}
        for stream in self._others:
            codec, first = codec_name(stream), header_of(stream)
            for change in infos[stream.index].headers if stream.index in infos else ():
                if not can_go_on(codec, first, change.extradata, container):
                    at = float(change.pts * (stream.time_base or 0))
                    yield Incompatibility(
                        f"{_named(stream)} from {at:.2f} s on",
                        f"its header changes there, and {container.muxer} holds one of a stream",
                        part_of=_named(stream),
                    )
                    break

    def _conversions(self, container: Container) -> Iterator[str]:
        for stream in self._others:
            codec = converted_to(stream, container)
            if codec is not None:
                yield f"{_named(stream)} becomes {codec}"
            elif is_timecode(stream) and container.timecode == "metadata":
                yield f"{_named(stream)} becomes the metadata timecode"

    def _delay(self, late: float, container: Container) -> Iterator[str]:
        if late > float(max(container.tick or 0, self._info.time_base)):
            why = "holds no times below zero"
            if container.delivery:
                why = "delivers packets before their time comes"
            yield (
                f"all streams begin {late:.3f} s later or a little more, in step: "
                f"{container.muxer} {why}"
            )

    def _new_clock(self, earlier: float) -> Iterator[str]:
        # Recorders count from 1970. What is counted from the wrap on is not moved in truth.
        if abs(earlier) > _USUAL_BEGIN and abs(earlier) != float(WRAP_SECONDS):
            yield (
                f"the clock of the source begins at {earlier:.3f} s{_date(earlier)}, the output "
                "at 0: "
                "all streams are moved alike"
            )

    def _worked_out(self, container: Container) -> Iterator[str]:
        pace = frame_pace(self._info, container)
        if pace.ratio is not None:
            tick, rate = self._info.time_base, pace.ratio / self._info.time_base
            yield f"times that the source rounds to {tick} s are worked out: {rate} frames a second"

    def _trial_muxer(self, settings: EncodeSettings, place: int | None = None) -> TrialMuxer | None:
        """None where another encoder than the chosen one refuses the video's frames."""
        key = settings.codec, place
        if key not in self._muxers:
            self._muxers[key] = None
            try:
                made = TrialMuxer(self._source, self._info, settings, self._folder, place)
                made.fragmented = self._fragmented
                self._muxers[key] = made
            except MediaError:
                if settings is self._settings:
                    raise
        return self._muxers[key]

    def _refused_streams(self, container: Container) -> list[Incompatibility]:
        """Streams that a container is known not to take."""
        found = []
        for stream in self._others:
            written = is_written_by_muxer(stream) or self._can_be_converted(stream, container)
            why = None if written else container.refusal(stream)
            if why is not None:
                found.append(Incompatibility(_named(stream), why, stream=stream.index))
        return found

    def _can_be_converted(self, stream: Stream, container: Container) -> bool:
        """Whether a stream is converted for a container; audio that does not decode cannot be."""
        if converted_to(stream, container) is None:
            return False
        return stream.type != "audio" or first_audio(self._source, stream.index) is not None


def _date(seconds: float) -> str:
    """The date and time in brackets, where seconds can be those since 1970 of a recording."""
    if not _EARLIEST_DATE <= seconds < _LATEST_DATE:
        return ""
    taken = datetime.fromtimestamp(round(seconds), UTC)
    return f" ({taken:%Y-%m-%d %H:%M:%S} by the recorder's clock)"


def _indices(incompatibilities: Sequence[Incompatibility]) -> list[int]:
    return [one.stream for one in incompatibilities if one.stream is not None]


def _named(stream: Stream) -> str:
    return f"stream {stream.index} ({stream.type}, {codec_name(stream)})"
