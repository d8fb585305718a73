"""What a target's container cannot hold of a source: all of it, listed before the work starts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from av.container import InputContainer
from av.stream import Stream

from facepipe.errors import MediaError, OutputError, UsageError
from facepipe.frames import VideoInfo
from facepipe.media.choosing import keeps_alpha
from facepipe.media.containers import loses_aspect, muxer_of, open_source
from facepipe.media.encoders import EncodeSettings, find_encoder, output_pix_fmt
from facepipe.media.formats import pixel_format, working_format
from facepipe.media.holding import (
    container_takes,
    is_made_anew,
    refusal,
    suggested_muxers,
)
from facepipe.media.probe import codec_name

#: Encoders that are named where another one would keep more, the widespread ones first.
_OTHER_ENCODERS = ("libx264", "libx265", "libvpx-vp9", "ffv1", "prores_ks")


@dataclass(frozen=True)
class Loss:
    """One thing of the source that would not be in the target.

    `what` names it ("stream 2 (subtitle, hdmv_pgs_subtitle)"), `why` says what is in its way,
    `instead` what would keep it: suffixes of containers, or options; empty where nothing does.
    `stream` is the index of the stream that is left out, None: no whole stream is lost.
    """

    what: str
    why: str
    instead: tuple[str, ...] = ()
    stream: int | None = None

    @property
    def avoidable(self) -> bool:
        """Whether there is a way to keep it: only then it is worth asking about."""
        return bool(self.instead)

    def __str__(self) -> str:
        kept = f" ({_either(self.instead)} would keep it)" if self.instead else ""
        return f"{self.what} is lost: {self.why}{kept}"


@dataclass(frozen=True)
class Fit:
    """How a source goes into a target."""

    losses: tuple[Loss, ...] = ()

    @property
    def leave_out(self) -> tuple[int, ...]:
        """Indices of the source's streams that are not copied."""
        return tuple(loss.stream for loss in self.losses if loss.stream is not None)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user is told, a line for each."""
        return tuple(map(str, self.losses))


def check_target(
    source: Path,
    info: VideoInfo,
    target: Path,
    *,
    settings: EncodeSettings,
    allow_loss: bool = False,
) -> Fit:
    """How `source` goes into `target`; raise before hours of work if something would be lost.

    `settings.pix_fmt` None means that nobody asked for a pixel format, so that what the encoder
    drops counts. A loss that nothing can prevent is told, not refused. Errors: UsageError for an
    unknown suffix, OutputError for a missing folder, MediaError that names every loss and what
    would hold all, unless `allow_loss`; MediaError for an encoder that the container does not take.
    """
    muxer = muxer_of(target)
    if not target.absolute().parent.is_dir():
        raise OutputError(f"the folder of {target} does not exist; make it first")
    with open_source(source) as opened:
        _require_encoder(muxer, settings)
        fit = _fit(opened, info, muxer, settings)
        refused = [loss for loss in fit.losses if loss.avoidable]
        if refused and not allow_loss:
            named = "; ".join(f"{loss.what}: {loss.why}" for loss in refused)
            advice = _advice(opened, info, muxer, settings, refused)
            raise MediaError(f"{muxer} would lose {named}; {advice}--allow-loss goes on without")
    return fit


def _fit(opened: InputContainer, info: VideoInfo, muxer: str, settings: EncodeSettings) -> Fit:
    elsewhere = {
        suffix: {loss.what for loss in _losses(opened, info, other, settings)}
        for suffix, other in suggested_muxers().items()
        if other != muxer and _takes_encoder(other, settings)
    }
    found = []
    for loss in _losses(opened, info, muxer, settings):
        held = tuple(suffix for suffix, lost in elsewhere.items() if loss.what not in lost)
        found.append(replace(loss, instead=(*held, *loss.instead)))
    return Fit(tuple(found))


def _losses(
    opened: InputContainer, info: VideoInfo, muxer: str, settings: EncodeSettings
) -> Iterator[Loss]:
    """All that one container loses; `instead` names options alone, not containers."""
    yield from _of_streams(opened, info, muxer)
    yield from _of_shape(info, muxer, settings)
    yield from _of_pixels(info, muxer, settings)


def _of_streams(opened: InputContainer, info: VideoInfo, muxer: str) -> Iterator[Loss]:
    for stream in opened.streams:
        if stream.index == info.stream_index or is_made_anew(stream, muxer):
            continue
        why = refusal(stream, muxer)
        if why is not None:
            yield Loss(_named(stream), why, stream=stream.index)


def _of_shape(info: VideoInfo, muxer: str, settings: EncodeSettings) -> Iterator[Loss]:
    codec = find_encoder(settings.codec).canonical_name
    if loses_aspect(info, codec, muxer):
        yield Loss(
            f"the pixel aspect ratio {info.sample_aspect_ratio}",
            f"{codec} does not say it",
            ("--codec libx264", "--codec libx265"),
        )


def _of_pixels(info: VideoInfo, muxer: str, settings: EncodeSettings) -> Iterator[Loss]:
    """What the encoder drops of each pixel, where nobody asked for a pixel format."""
    if settings.pix_fmt is None:
        for what in _dropped(info, muxer, settings):
            keepers = _keepers(info, muxer, settings, what)
            yield Loss(what, f"{settings.codec} drops it", keepers)


def _keepers(info: VideoInfo, muxer: str, settings: EncodeSettings, what: str) -> tuple[str, ...]:
    return tuple(
        f"--codec {codec}"
        for codec in _OTHER_ENCODERS
        if codec != settings.codec
        and _takes_encoder(muxer, replace(settings, codec=codec))
        and what not in _dropped(info, muxer, replace(settings, codec=codec))
    )


def _dropped(info: VideoInfo, muxer: str, settings: EncodeSettings) -> list[str]:
    source = working_format(info.pix_fmt)
    try:
        target = pixel_format(output_pix_fmt(replace(settings, options=()), info)[0])
    except UsageError:  # an encoder that is not there keeps nothing
        return [f"the {kind} of {info.pix_fmt}" for kind in ("alpha", "depth", "colour")]
    alpha = target.alpha and keeps_alpha(settings.codec, muxer)
    # A ProRes stream has no depth of its own: FFmpeg reads 4444 as 12 bit and writes it from 10.
    deep = settings.codec == "prores_ks" and info.codec == "prores" and source.bits <= 12
    wider = target.model != "gray" or source.model == "gray"
    finer = target.shift_x <= source.shift_x and target.shift_y <= source.shift_y
    kept = {
        "alpha": alpha or not source.alpha,
        "depth": deep or target.bits >= source.bits,
        "colour": wider and (finer or source.model == "gray"),
    }
    return [f"the {kind} of {info.pix_fmt}" for kind, held in kept.items() if not held]


def _require_encoder(muxer: str, settings: EncodeSettings) -> None:
    if _takes_encoder(muxer, settings):
        return
    codec = find_encoder(settings.codec).canonical_name
    others = [
        name for name in _OTHER_ENCODERS if _takes_encoder(muxer, replace(settings, codec=name))
    ]
    holders = [s for s, other in suggested_muxers().items() if _takes_encoder(other, settings)]
    raise MediaError(
        f"{muxer} cannot hold the video of {settings.codec} ({codec}); use {_either(holders)}, "
        f"or --codec {_either(others)}"
    )


def _takes_encoder(muxer: str, settings: EncodeSettings) -> bool:
    try:
        return container_takes(muxer, find_encoder(settings.codec).canonical_name)
    except UsageError:
        return False


def _advice(
    opened: InputContainer,
    info: VideoInfo,
    muxer: str,
    settings: EncodeSettings,
    refused: Sequence[Loss],
) -> str:
    """Words that name what holds all of it, or else most of it."""
    names = {loss.what for loss in refused}
    kept: dict[str, int] = {}
    for suffix, other in suggested_muxers().items():
        if other != muxer and _takes_encoder(other, settings):
            there = {loss.what for loss in _losses(opened, info, other, settings)}
            kept[suffix] = len(there & names)
    best = min(kept, key=lambda suffix: kept[suffix], default=None)
    options = sorted({o for loss in refused for o in loss.instead if o.startswith("--")})
    if best is not None and kept[best] == 0:
        return f"use {best}, which holds all of the film, or "
    words = []
    if best is not None and kept[best] < len(names):
        words.append(f"use {best}, which holds more of it, or ")
    if options:
        words.append(f"use {_either(options)}, or ")
    return "".join(words)


def _named(stream: Stream) -> str:
    return f"stream {stream.index} ({stream.type}, {codec_name(stream)})"


def _either(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + f" or {names[-1]}" if len(names) > 1 else "".join(names)
