"""Differences between a source and its target: each an incompatibility with a sentence."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from av.stream import Disposition

from facepipe.datatypes import PixelFormat, VideoInfo
from facepipe.errors import InputError
from facepipe.video.compatibility.properties import FileProperties, StreamProperties
from facepipe.video.containers import Container
from facepipe.video.encoders.settings import EncodeSettings, find_encoder
from facepipe.video.muxing.languages import same_language
from facepipe.video.muxing.sound import is_decoded
from facepipe.video.muxing.subtitles import TEXT_CODECS
from facepipe.video.pixel_formats import UNSPECIFIED, working_format
from facepipe.video.pyav.private_boxes import is_makers_own
from facepipe.video.shape import aspect_at
from facepipe.video.user_data import without_place

# Matrices and the like that have two numbers in H.273.
_SAME = {5: 6}
# Dispositions that readers derive from others, and the one that makes a stream a cover.
_IMPLIED = Disposition.captions | Disposition.descriptions | Disposition.attached_pic
#: Layouts that players assume for a number of channels where none is named.
_USUAL_LAYOUTS = (
    *(None, "mono", "stereo", "2.1", "4.0", "5.0", "5.1", "6.1", "7.1"),
    *(f"{count} channels" for count in range(65)),
)
_CHAPTERS = "the chapters"
_MAX_ALTERNATIVES = 4  # in a message
_SLACK = 0.0015  # seconds by which a chapter may move: half a tick of the coarsest container


@dataclass(frozen=True)
class Incompatibility:
    """One thing of the source that the target cannot hold.

    `what` names it ("stream 2 (subtitle, hdmv_pgs_subtitle)"), `why` says the cause, `instead` what
    would keep it: suffixes of containers, or options; empty where nothing does. `stream` is the
    index of the stream that is left out, None: no whole stream is lost. `part_of` names what it is
    a part of, and is lost with. `is_minor`: a maker's own data, which no other program reads; it is
    reported, and does not stop a run.
    """

    what: str
    why: str
    instead: tuple[str, ...] = ()
    stream: int | None = None
    part_of: str | None = None
    is_minor: bool = False

    @property
    def avoidable(self) -> bool:
        """Whether something would keep it: only then the user is asked, unless it is minor."""
        return bool(self.instead) and not self.is_minor


def describe(incompatibilities: Sequence[Incompatibility]) -> tuple[str, ...]:
    """Incompatibilities as the user reads them, those of one cause in one line."""
    grouped: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    for one in incompatibilities:
        verb = "lost" if one.stream is None else "left out"
        grouped.setdefault((verb, one.why, one.instead), []).append(one.what)
    return tuple(
        f"{verb}: {', '.join(whats)} ({why})"
        + (f"; {either(instead[:_MAX_ALTERNATIVES])} would keep it" if instead else "")
        for (verb, why, instead), whats in grouped.items()
    )


def grouped(incompatibilities: Sequence[Incompatibility]) -> Iterator[tuple[str, str]]:
    """What is lost, and why, for each cause."""
    causes: dict[str, list[str]] = {}
    for one in incompatibilities:
        causes.setdefault(one.why, []).append(one.what)
    yield from ((", ".join(whats), why) for why, whats in causes.items())


def either(names: Collection[str]) -> str:
    """Names as a choice: a, b or c."""
    *most, last = names or [""]
    return f"{', '.join(most)} or {last}" if most else last


def differences(
    before: FileProperties, after: FileProperties, left_out: Collection[int | None], where: str
) -> Iterator[Incompatibility]:
    """What `before` has and `after` has not, except for streams that were left out.

    `where` names the container and what is in it.
    """
    why = f"{where} does not keep it"
    for key in sorted(before.keys - after.keys):
        yield Incompatibility(f"the metadata {key}", why)
    if before.programs > max(after.programs, 1):
        yield Incompatibility(f"the division into {before.programs} programs", why)
    yield from _of_chapters(before, after, why)
    if before.matrix != after.matrix:
        yield Incompatibility("the rotation", why)
    if before.aspect != after.aspect:
        yield Incompatibility(f"the pixel aspect ratio {before.aspect}", why)
    yield from _of_colour(before, after, why)
    for name in sorted(before.carried - after.carried):
        yield Incompatibility(name, why, is_minor=is_makers_own(name))
    if before.interlaced and not after.interlaced:
        yield Incompatibility("the interlacing flags of its frames", why)
    for what in _of_stream(before.video, after.video, first=True):
        yield Incompatibility(f"{what} of the video", why)
    yield from _of_streams(before.streams, after.streams, left_out, where)


def of_forms(info: VideoInfo, container: Container, codec: str) -> Iterator[Incompatibility]:
    """Tags that change within the video, where all frames must have the same."""
    if container.holds_own_tags(codec):
        return
    why = f"{container.muxer} of {codec} has the same for all frames"
    known = replace(info, own_tags=True)
    for form in info.forms:
        since = f"from {float(form.first * info.time_base):.2f} s on"
        aspect = aspect_at(known, form.first)
        if aspect != info.sample_aspect_ratio:
            yield Incompatibility(f"the pixel aspect ratio {aspect or 1} {since}", why)
        tags = zip(form.tags[2:], info.tags[2:], strict=True)
        if any(own not in (UNSPECIFIED, tag) for own, tag in tags):
            yield Incompatibility(f"the colour primaries and transfer {since}", why)
        if form.light and not all(one.light for one in info.forms):
            yield Incompatibility(f"the light levels {since}", why)


def of_times(info: VideoInfo, container: Container) -> Iterator[Incompatibility]:
    """Whether frames follow each other faster than the container's ticks."""
    tick = container.tick
    if tick is not None:
        closest = min((b - a for a, b in pairwise(info.pts) if b > a), default=None)
        if closest is not None and closest * info.time_base < tick:
            words = f"times closer than {float(tick) * 1000:.3g} ms"
            yield Incompatibility(
                words, f"{container.muxer} counts in ticks of 1/{tick.denominator} s"
            )


def of_pixels(
    info: VideoInfo, settings: EncodeSettings, before: FileProperties, after: FileProperties
) -> Iterator[Incompatibility]:
    """What the encoder drops of each pixel, where nobody asked for a pixel format."""
    if settings.pix_fmt is not None or after.pix_fmt is None:
        return
    try:
        source, target = working_format(info.pix_fmt), working_format(after.pix_fmt)
    except InputError:  # no format that facepipe can judge
        return
    codecs = (info.codec, find_encoder(settings.codec).canonical_name)
    had_alpha = source.alpha or before.alpha_in_side_data
    has_alpha = target.alpha or after.alpha_in_side_data
    kept = {
        "the alpha": has_alpha or not had_alpha,
        f"the depth of {source.bits} bits": _keeps_depth(source, target, codecs),
        f"the colour of {info.pix_fmt}": _keeps_colour(source, target),
    }
    for what, held in kept.items():
        if not held:
            yield Incompatibility(what, f"{settings.codec} writes {after.pix_fmt}")


def of_user_data(info: VideoInfo, codec: str) -> Iterator[Incompatibility]:
    """What the source's pictures bring with them that video of `codec` has no place for."""
    for what in without_place(info.user_data, codec):
        yield Incompatibility(what, f"{codec} has no place for it")
    if info.has_second_view:
        yield Incompatibility("the second view of its pictures", "facepipe writes one view")


def _keeps_depth(source: PixelFormat, target: PixelFormat, codecs: tuple[str, str]) -> bool:
    """Whether the target has as many bits; `codecs` are those of the source and the target."""
    # FFmpeg reads ProRes 4444 as 12 bits and writes it from 10: the stream itself has no depth.
    prores = codecs == ("prores", "prores") and source.bits <= 12
    return target.bits >= source.bits or prores


def _keeps_colour(source: PixelFormat, target: PixelFormat) -> bool:
    """Whether the target has colour where the source has it, at as many places."""
    if source.model == "gray":
        return True
    finer = target.shift_x <= source.shift_x and target.shift_y <= source.shift_y
    return target.model != "gray" and finer


def _of_chapters(
    before: FileProperties, after: FileProperties, why: str
) -> Iterator[Incompatibility]:
    if len(before.chapters) != len(after.chapters):
        if before.chapters:
            yield Incompatibility(_CHAPTERS, why)
        return
    pairs = list(zip(before.chapters, after.chapters, strict=True))
    if any(abs(one[0] - two[0]) > _SLACK for one, two in pairs):
        yield Incompatibility("the times of chapters", why, part_of=_CHAPTERS)
    if any(one[1] != two[1] for one, two in pairs):
        yield Incompatibility("the titles of chapters", why, part_of=_CHAPTERS)
    for key in sorted({key for one, two in pairs for key in one[2] - two[2]}):
        yield Incompatibility(f"the metadata {key} of chapters", why, part_of=_CHAPTERS)


def _of_colour(
    before: FileProperties, after: FileProperties, why: str
) -> Iterator[Incompatibility]:
    if before.full_range and not after.full_range and not before.rgb:
        yield Incompatibility("the full-range tag", why)
    names = ("matrix", "primaries", "transfer")
    for name, one, two in zip(names, before.colour, after.colour, strict=True):
        converted = name == "matrix" and (before.rgb or after.rgb)  # RGB has none
        if one != 2 and not converted and _SAME.get(one, one) != _SAME.get(two, two):
            yield Incompatibility(f"the colour {name} ({one} of H.273)", why)


def _of_streams(
    before: Collection[StreamProperties],
    after: Collection[StreamProperties],
    left_out: Collection[int | None],
    where: str,
) -> Iterator[Incompatibility]:
    """Streams and their copies: containers sort by kind, and keep the order within a kind."""
    kept = [stream for stream in before if stream.index not in left_out]
    for kind in dict.fromkeys(stream.kind for stream in kept):
        made = iter([stream for stream in after if stream.kind == kind])
        for number, stream in enumerate(stream for stream in kept if stream.kind == kind):
            yield from _of_twin(stream, next(made, None), where, first=number == 0)


def _of_twin(
    stream: StreamProperties, twin: StreamProperties | None, where: str, *, first: bool
) -> Iterator[Incompatibility]:
    """What of a stream its copy has not; `first` of its kind. None: there is no copy."""
    named = f"stream {stream.index} ({stream.kind}, {stream.codec})"
    why = f"{where} does not keep it"
    if twin is None:
        yield Incompatibility(named, why, stream=stream.index)
    elif not _same_codec(stream, twin):
        reads = f"{where} gives it back as {twin.codec}"
        yield Incompatibility(named, reads, stream=stream.index)
    else:
        for what in _of_stream(stream, twin, first=first):
            yield Incompatibility(f"{what} of {named}", why, part_of=named)


def _same_codec(stream: StreamProperties, made: StreamProperties) -> bool:
    """Whether a copy is of the same codec, or of one that it is converted to on purpose."""
    subtitles = stream.codec in TEXT_CODECS and made.codec in TEXT_CODECS
    layers = {stream.codec, made.codec} <= {"mp2", "mp3"}  # one name in mp4, one decoder
    decoded = stream.kind == "audio" and is_decoded(stream.codec, made.codec)
    return stream.codec == made.codec or subtitles or layers or decoded


def _lost_language(stream: StreamProperties, made: StreamProperties) -> str | None:
    tag = stream.language_tag or ""
    if "-" in tag:
        return tag if tag != made.language_tag else None
    told = stream.language
    return told if told and not same_language(told, made.language or "") else None


def _of_stream(stream: StreamProperties, made: StreamProperties, *, first: bool) -> Iterator[str]:
    if (language := _lost_language(stream, made)) is not None:
        yield f"the language {language}"
    implied = _IMPLIED | (Disposition.default if first else 0)  # the first is one anyway
    for disposition in stream.dispositions & ~made.dispositions & ~implied:
        yield f"the disposition {disposition.name}"
    for key in sorted(stream.keys - made.keys):
        yield f"the metadata {key}"
    if stream.layout != made.layout and stream.layout not in _USUAL_LAYOUTS:
        yield f"the channel layout {stream.layout}"
