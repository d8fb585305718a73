"""What a target's container cannot hold of a source: all of it, listed before the work starts."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path

from av.container import InputContainer
from av.stream import Stream

from facepipe.datatypes import VideoInfo
from facepipe.errors import MediaError, OutputError, UsageError
from facepipe.video.compatibility.differences import (
    TICKS,
    Incompatibility,
    describe,
    differences,
    either,
    of_pixels,
    of_times,
)
from facepipe.video.compatibility.properties import traits_of
from facepipe.video.compatibility.trial import Miniatures
from facepipe.video.containers import HOMELESS, SUGGESTED, container_takes, muxer_of, refusal
from facepipe.video.encoders.settings import EncodeSettings, find_encoder
from facepipe.video.muxing.subtitles import converted_to, loses_style
from facepipe.video.sources import open_source
from facepipe.video.streams import codec_name, is_made_anew, is_timecode

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


@dataclass(frozen=True)
class Compatibility:
    """How a source goes into a target: what is lost, and what becomes something else."""

    losses: tuple[Incompatibility, ...] = ()
    changes: tuple[str, ...] = ()

    @property
    def leave_out(self) -> tuple[int, ...]:
        """Indices of the source's streams that are not copied."""
        return tuple(loss.stream for loss in self.losses if loss.stream is not None)

    def loses(self, loss: Incompatibility) -> bool:
        """Whether a thing is lost here, whatever the reason."""
        return any(lost.what in (loss.what, loss.part_of) for lost in self.losses)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user is told, a line for each."""
        return (*describe(self.losses), *self.changes)


def check_target(
    source: Path,
    info: VideoInfo,
    target: Path,
    *,
    settings: EncodeSettings,
    allow_loss: bool = False,
) -> Compatibility:
    """How `source` goes into `target`; raise before hours of work if something would be lost.

    `settings.pix_fmt` None means that nobody asked for a pixel format, so that what the encoder
    drops counts. A loss that nothing can prevent is told, not refused. Errors: UsageError for an
    unknown suffix, OutputError for a missing folder, MediaError that names every loss and what
    would hold all, unless `allow_loss`; MediaError for an encoder that the container does not take.
    """
    muxer_of(target)
    if not target.absolute().parent.is_dir():
        raise OutputError(f"the folder of {target} does not exist; make it first")
    with tempfile.TemporaryDirectory() as folder, open_source(source) as opened:
        fitting = _Fitting(source, opened, info, settings, Path(folder))
        fit = fitting.into(target.suffix.lower())
        refused = [loss for loss in fit.losses if loss.avoidable]
        if refused and not allow_loss:
            why = "; ".join(f"{loss.what}: {loss.why}" for loss in refused)
            advice = fitting.advice(target.suffix.lower(), refused)
            raise MediaError(
                f"{muxer_of(target)} cannot hold {why}; {advice}--allow-loss goes on without"
            )
    return fit


class _Fitting:
    """Tries a source in containers, and with other encoders where one loses something."""

    def __init__(
        self,
        source: Path,
        opened: InputContainer,
        info: VideoInfo,
        settings: EncodeSettings,
        folder: Path,
    ) -> None:
        self._source, self._info, self._settings = source, info, settings
        self._folder = folder
        self._others = [s for s in opened.streams if s.index != info.stream_index]
        self._before = traits_of(source, info.stream_index)
        self._made: dict[str, Miniatures | None] = {}
        self._found: dict[tuple[str, str], Compatibility | str] = {}

    def into(self, suffix: str) -> Compatibility:
        """How the source goes into one container, with what would keep each thing that is lost.

        MediaError where the container does not take the encoder's video.
        """
        fit = self._fit(suffix, self._settings)
        if isinstance(fit, str):
            raise MediaError(self._refusal(suffix, fit))
        return replace(fit, losses=tuple(self._with_keepers(loss, suffix) for loss in fit.losses))

    def advice(self, suffix: str, refused: Sequence[Incompatibility]) -> str:
        """Words that name what keeps all of it, or else most of it."""
        here = self._fit(suffix, self._settings)
        assert isinstance(here, Compatibility)
        names = {loss.what for loss in refused}
        never = {loss.what for loss in here.losses} - names
        least, best = len(names), ""
        for way, fit in chain.from_iterable(self._ways(suffix)):
            lost = len({loss.what for loss in fit.losses} - never)
            if lost == 0:
                return f"use {way}, which keeps all of it, or "
            if lost < least:
                least, best = lost, f"use {way}, which keeps more of it, or "
        return best or f"use {either(refused[0].instead)} for {refused[0].what}, or "

    def _with_keepers(self, loss: Incompatibility, suffix: str) -> Incompatibility:
        for ways in self._ways(suffix) if loss.why != HOMELESS else ():
            kept = tuple(way for way, fit in ways if not fit.loses(loss))
            if kept:
                return replace(loss, instead=kept)
        return loss

    def _ways(self, suffix: str) -> Iterator[Iterator[tuple[str, Compatibility]]]:
        """Other containers, other encoders in this one, then both: with how the film fits there."""
        others = [other for other in SUGGESTED if other != suffix]
        yield self._fits([(other, other, self._settings) for other in others])
        yield self._fits(
            [(f"--codec {c}", suffix, made) for c, made in self._others_than(self._settings.codec)]
        )
        usual = EncodeSettings(_USUAL, _OTHER_ENCODERS[_USUAL])
        if self._settings.codec != _USUAL:
            yield self._fits([(f"{other} with --codec {_USUAL}", other, usual) for other in others])

    def _fits(
        self, ways: Sequence[tuple[str, str, EncodeSettings]]
    ) -> Iterator[tuple[str, Compatibility]]:
        for way, suffix, settings in ways:
            fit = self._fit(suffix, settings)
            if isinstance(fit, Compatibility):
                yield way, fit

    def _others_than(self, codec: str) -> list[tuple[str, EncodeSettings]]:
        scale = self._settings.scale
        named = _OTHER_ENCODERS.items()
        return [(c, EncodeSettings(c, how, scale=scale)) for c, how in named if c != codec]

    def _refusal(self, suffix: str, why: str) -> str:
        ways = [way for group in islice(self._ways(suffix), 2) for way, _ in group]
        codec = find_encoder(self._settings.codec).canonical_name
        return (
            f"{muxer_of(Path(f'film{suffix}'))} cannot hold stream {self._info.stream_index} "
            f"(video, {codec} of {self._settings.codec}): {why}; "
            f"use {either(ways) or 'another encoder'}"
        )

    def _fit(self, suffix: str, settings: EncodeSettings) -> Compatibility | str:
        """How the source goes into a container, or why that does not take the encoder's video."""
        key = suffix, settings.codec
        if key not in self._found:
            self._found[key] = self._tried(suffix, settings)
        return self._found[key]

    def _tried(self, suffix: str, settings: EncodeSettings) -> Compatibility | str:
        muxer = muxer_of(Path(f"film{suffix}"))
        try:
            codec = find_encoder(settings.codec).canonical_name
        except UsageError as error:
            return str(error)
        if not container_takes(muxer, codec):
            return f"{muxer} takes no {codec}"
        refused = self._streams_refused(muxer)
        miniatures = self._miniatures(settings)
        if miniatures is None:
            return "its pictures cannot be encoded so"
        made = miniatures.written(suffix, _indices(refused))
        if isinstance(made, str):
            refused += self._culprits(miniatures, suffix, _indices(refused))
            made = miniatures.written(suffix, _indices(refused))
        if isinstance(made, str):
            return made
        gone = [*_indices(refused), *(s.index for s in self._others if is_made_anew(s))]
        found = [*refused, *self._of_captions(muxer), *of_times(self._info, muxer)]
        found += differences(self._before, made.traits, gone, f"{muxer} of {codec}")
        found += of_pixels(self._info, settings, self._before, made.traits)
        return Compatibility(
            tuple(found), (*self._conversions(muxer), *self._lateness(made.late, muxer))
        )

    def _culprits(
        self, miniatures: Miniatures, suffix: str, without: Sequence[int]
    ) -> Iterator[Incompatibility]:
        """The streams that a container refuses though it was thought to take them."""
        copied = [s for s in self._others if s.index not in without and not is_made_anew(s)]
        for stream in copied:
            rest = [*without, *(other.index for other in copied if other is not stream)]
            why = miniatures.written(suffix, rest)
            if isinstance(why, str):
                yield Incompatibility(_named(stream), why, stream=stream.index)

    def _of_captions(self, muxer: str) -> Iterator[Incompatibility]:
        for stream in self._others:
            codec = converted_to(stream, muxer)
            if codec is not None and loses_style(stream):
                what = f"the styles and places of {_named(stream)}"
                yield Incompatibility(what, f"{codec} has none", part_of=_named(stream))

    def _conversions(self, muxer: str) -> Iterator[str]:
        for stream in self._others:
            codec = converted_to(stream, muxer)
            if codec is not None:
                yield f"{_named(stream)} becomes {codec}"
            elif is_timecode(stream) and muxer not in ("mp4", "mov", "mpegts"):
                yield f"{_named(stream)} becomes the metadata timecode"

    def _lateness(self, late: float, muxer: str) -> Iterator[str]:
        if late > float(max(TICKS.get(muxer, 0), self._info.time_base)):
            yield (
                f"all streams begin {late:.3f} s later or a little more, in step: "
                f"{muxer} holds no times below zero"
            )

    def _miniatures(self, settings: EncodeSettings) -> Miniatures | None:
        """None where another encoder than the chosen one refuses the film's pictures."""
        if settings.codec not in self._made:
            self._made[settings.codec] = None
            try:
                made = Miniatures(self._source, self._info, settings, self._folder)
                self._made[settings.codec] = made
            except MediaError:
                if settings is self._settings:
                    raise
        return self._made[settings.codec]

    def _streams_refused(self, muxer: str) -> list[Incompatibility]:
        """Streams that a container is known not to take."""
        found = []
        for stream in self._others:
            anew = is_made_anew(stream) or converted_to(stream, muxer)
            why = None if anew else refusal(stream, muxer)
            if why is not None:
                found.append(Incompatibility(_named(stream), why, stream=stream.index))
        return found


def _indices(losses: Sequence[Incompatibility]) -> list[int]:
    return [loss.stream for loss in losses if loss.stream is not None]


def _named(stream: Stream) -> str:
    return f"stream {stream.index} ({stream.type}, {codec_name(stream)})"
