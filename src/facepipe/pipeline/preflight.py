"""Plan a run, and refuse what cannot be done before the work starts."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from facepipe._system.files import sha256_of
from facepipe.configs.settings import OutputSettings, Settings
from facepipe.datatypes import Alignment, Analysis, Span, VideoInfo
from facepipe.errors import InputError, OutOfMemoryError, OutputError, OutputExistsError, UsageError
from facepipe.models.detectors import create_detector
from facepipe.models.registry import ModelFiles, find_model
from facepipe.models.restorers import choose_for, contract_of, describe, network_bytes
from facepipe.pipeline.encoding import ENCODER_THREADS, encode_settings
from facepipe.pipeline.selection import region_of
from facepipe.pipeline.signing import check_signer
from facepipe.pipeline.spans import longest_seconds, plan_spans
from facepipe.video import (
    EncodeSettings,
    SmartRender,
    check_encoder,
    check_target,
    is_to_be_fragmented,
    probe,
    smart_render_of,
)
from facepipe.video.containers import container_of
from facepipe.video.damage import refuse_damage
from facepipe.video.encoders.purposes import for_purpose
from facepipe.video.encoders.settings import find_encoder
from facepipe.video.holdings import FIELD_ORDERS, HOLDINGS
from facepipe.video.keyframes import with_groups_within
from facepipe.video.pixel_formats import working_format
from facepipe.video.probe import check_size
from facepipe.video.shape import shaped
from facepipe.video.sources import as_facepipe_error
from facepipe.workers.resources import (
    NO_SEMAPHORES,
    affordable_workers,
    check_memory,
    has_semaphores,
    worker_bytes,
)

#: Bytes of a target's name: disks take 255, and its report's temporary name is longer.
_LONGEST_NAME = 255 - len("..facepipe.01234567.partial.json")
#: Length of a span from which on it is worth a note.
LONG_SPAN_SECONDS = 120.0
_NOTHING_COPIED = SmartRender("none", "copying is turned off")


@dataclass(frozen=True)
class Plan:
    """What a run will do, known before a frame is decoded.

    Without a target, `encode` holds no more than the scale and the threads.
    """

    info: VideoInfo
    spans: tuple[Span, ...]
    encode: EncodeSettings
    window: tuple[int, int] | None = None  # pts to write, start <= pts < stop; None: all
    notes: tuple[str, ...] = ()  # what the target changes or loses
    workers: int = 1
    leave_out: tuple[int, ...] = ()  # indices of streams that the target does not hold
    smart_render: SmartRender = _NOTHING_COPIED
    fragmented: bool = False  # whether an mp4 or mov is written in fragments
    source_sha256: str = ""  # empty: not known
    holdings: frozenset[str] = frozenset()  # what frames are known to hold besides pixels


def make_plan(
    source: Path,
    settings: Settings,
    *,
    target: Path | None = None,
    overwrite: bool = False,
    here: bool = True,
) -> Plan:
    """Probe the source and plan its run. Errors: as `probe` and `plan_run`."""
    info = probe(source, settings.limits, settings.stream)
    return plan_run(info, settings, target=target, overwrite=overwrite, here=here)


def plan_run(
    info: VideoInfo,
    settings: Settings,
    *,
    target: Path | None = None,
    overwrite: bool = False,
    here: bool = True,
) -> Plan:
    """Choose all that a run needs, and refuse what would fail hours later.

    Without a `target`, nothing of the video to write is checked. `here`: this machine does the
    work, so that its memory and its devices count.

    Errors: InputError for the source, UsageError for settings that do not fit it, OutputError or
    MediaError for a target that cannot hold it.
    """
    if settings.strict_input:
        refuse_damage(info.path, info.damage, info.time_base)
    if target is not None:
        check_output(Path(info.path), target, overwrite)
    info = shaped(info, settings.output.size)
    check_size(Path(info.path), info.width, info.height, settings.limits)
    window = _window(info, settings.output)
    spans = plan_spans(info, span_seconds=settings.span_seconds, window=window)
    if not spans:
        raise UsageError(
            f"no frame lies between --start {settings.output.start or 0:g} and "
            f"--end {settings.output.end or info.seconds:g}; the video has {info.seconds:.2f} s"
        )
    region_of(settings.choose, info)
    # Loaded here to be refused here: a missing pack or damaged weights stop every span alike.
    create_detector(settings.detect.detector, pack=settings.detect.pack, threads=1)
    model = find_model(settings.restore.restorer)
    contract_of(model)  # which faces are too large depends on it
    encode = EncodeSettings(threads=ENCODER_THREADS, scale=settings.output.scale)
    plan = Plan(info, spans, encode, window, notes=_on_spans(info, spans))
    if target is not None:
        check_restorer(settings, here=here)
        plan = _with_target(plan, settings, target)
    needed = worker_bytes(
        info.width * plan.encode.scale,
        info.height * plan.encode.scale,
        codec=plan.encode.codec,
        sample_bytes=2 if working_format(info.pix_fmt).bits > 8 else 1,
    )
    needed += network_bytes(model)
    return _with_workers(plan, settings, needed, here=here)


def _with_workers(plan: Plan, settings: Settings, needed: int, *, here: bool) -> Plan:
    """The plan with as many workers, of `needed` bytes each, as are asked for or fit."""
    if here:
        check_memory(needed)
        if not has_semaphores():
            return replace(plan, workers=1, notes=(*plan.notes, NO_SEMAPHORES))
    return replace(plan, workers=settings.workers or affordable_workers(needed))


def _on_spans(info: VideoInfo, spans: Sequence[Span]) -> tuple[str, ...]:
    """A note where a large part of the video is one span."""
    seconds = longest_seconds(info, spans)
    if seconds < LONG_SPAN_SECONDS:
        return ()
    return (
        f"{seconds:.0f} s of the video lie between two keyframes: one core works on them, and "
        "after an interruption they begin anew; a copy with more keyframes (-g 250) is faster",
    )


def _with_target(plan: Plan, settings: Settings, target: Path) -> Plan:
    """The plan with the encoder, and with what the target's container cannot hold."""
    info, output = plan.info, settings.output
    container_of(target)  # refuses one that is not written, by the target's name
    output = for_purpose(output, info, target)
    start, stop = plan.spans[0].start, plan.spans[-1].stop
    if output.keyframes is not None:
        info = with_groups_within(info, output.keyframes)
    encode, notes = encode_settings(output, info, target, stop)
    check_encoder(encode, info)
    places = tuple(pts for pts in info.places if start <= pts < stop)
    codec = find_encoder(encode.codec).canonical_name
    own_tags = container_of(target).holds_own_tags(codec)
    info = replace(info, places=places, own_tags=own_tags)
    fragmented = is_to_be_fragmented(output.fragmented, info, target)
    compatibility = check_target(
        Path(info.path),
        info,
        target,
        settings=replace(encode, pix_fmt=output.pix_fmt),
        allow_loss=output.allow_loss,
        fragmented=fragmented,
    )
    check_signer(settings.sign)
    return replace(
        plan,
        info=info,
        encode=encode,
        notes=(*plan.notes, *notes, *compatibility.notes, *licence_note(settings)),
        leave_out=compatibility.leave_out,
        holdings=compatibility.holdings,
        fragmented=fragmented,
        smart_render=smart_render_of(info, encode, target)
        if output.copy_unchanged
        else _NOTHING_COPIED,
    )


def as_analyzed(settings: Settings, given: Analysis) -> Settings:
    """The settings with the video stream that was analyzed. UsageError where they name another."""
    if settings.stream is None:
        return settings.model_copy(update={"stream": given.stream})
    if given.stream not in (None, settings.stream):
        raise UsageError(
            f"--stream {settings.stream}: the analysis is of stream {given.stream}; leave the "
            "option out, or analyze the other stream"
        )
    return settings


def sized_as_analyzed(settings: Settings, given: Analysis, info: VideoInfo) -> Settings:
    """The settings with the size that was analyzed, where a video has several and none is named."""
    if not info.forms or "size" in settings.output.model_fields_set:
        return settings
    output = settings.output.model_copy(update={"size": f"{given.width}x{given.height}"})
    return settings.model_copy(update={"output": output})


def check_analyzed(given: Analysis, info: VideoInfo) -> None:
    """Raise InputError where an analysis is of frames of another size."""
    if (given.width, given.height) != (info.width, info.height):
        raise InputError(
            f"the analysis is of frames of {given.width}x{given.height} px, and {info.path} is "
            f"to be written from frames of {info.width}x{info.height} px; leave --size out, or "
            "analyze it again"
        )


def with_holdings(plan: Plan, analysis: Analysis, settings: Settings, target: Path) -> Plan:
    """The plan, with what the analyze pass found frames to hold that was not known before.

    MediaError where the target cannot hold that, as `check_target`.
    """
    held = dict(analysis.holdings)
    orders = {order for order, name in FIELD_ORDERS.items() if name in held}
    fields = tuple(sorted({*plan.info.fields, *orders}))
    plan = replace(plan, info=replace(plan.info, fields=fields))
    start, stop = plan.spans[0].start, plan.spans[-1].stop
    new = {held[name] for name in HOLDINGS - plan.holdings if start <= held.get(name, stop) < stop}
    if not new:
        return plan
    info = replace(plan.info, places=tuple(sorted({*plan.info.places, *new})))
    compatibility = check_target(
        Path(info.path),
        info,
        target,
        settings=replace(plan.encode, pix_fmt=settings.output.pix_fmt),
        allow_loss=settings.output.allow_loss,
        fragmented=plan.fragmented,
    )
    notes = dict.fromkeys((*plan.notes, *compatibility.notes))
    return replace(plan, info=info, notes=tuple(notes), holdings=compatibility.holdings)


def check_restorer(settings: Settings, *, here: bool = True) -> tuple[ModelFiles | None, str]:
    """Find the weights, and the runtime and device that they run on. Errors: ModelError.

    Weights of others are read, so that damaged and unsafe ones are refused here. Other machines are
    not asked: where not `here`, the device is what the settings say.
    """
    if settings.restore.restorer == "bicubic":
        return None, "none"
    model = find_model(settings.restore.restorer)
    contract_of(model)
    if not here:
        return model, f"{settings.restore.runtime} on {settings.restore.device}, elsewhere"
    device, runtime = choose_for(model, settings.restore.device, settings.restore.runtime)
    return model, f"{runtime} on {device}"


def alignment_of(settings: Settings) -> Alignment:
    """The canvas of the restorer that the settings name. Errors: as `check_restorer`."""
    return contract_of(find_model(settings.restore.restorer)).alignment


def licence_note(settings: Settings) -> tuple[str, ...]:
    """What is to be known of the licence of a restorer that is not facepipe's, a line."""
    model = find_model(settings.restore.restorer)
    if model.kind == "own":
        return ()
    kind, contract = describe(model)
    return (f"restorer {model.spec.name} ({kind}), not of facepipe; licence: {contract.licence}",)


def check_output(source: Path, target: Path, overwrite: bool) -> None:
    """Raise OutputError unless a file can be written to `target`, which is not the source."""
    _check_target_name(target)
    try:
        _check_existing_target(source, target, overwrite)
    except OSError as error:
        raise OutputError(f"{target}: cannot be written ({error.strerror or error})") from error
    try:
        with tempfile.TemporaryFile(dir=target.parent):
            pass
    except OSError as error:
        raise OutputError(
            f"{target.parent}: cannot write there ({error.strerror or error})"
        ) from error


def _check_target_name(target: Path) -> None:
    if str(target) == "-":
        raise OutputError(
            "- is no file: what is written is read back, so it cannot go to stdout; name a file"
        )
    if len(os.fsencode(target.name)) > _LONGEST_NAME:
        raise OutputError(
            f"{target}: a name of {len(os.fsencode(target.name))} bytes is too long; "
            f"allowed are {_LONGEST_NAME}, as its report needs a longer one"
        )


def _check_existing_target(source: Path, target: Path, overwrite: bool) -> None:
    """Refuse what already has the target's name, unless it may be replaced. Errors: OSError too."""
    if target.exists():
        if target.is_dir():
            raise OutputError(f"{target}: is a directory, a file name is wanted")
        if source.exists() and target.samefile(source):
            raise OutputError(f"{target}: is the source itself; name another file")
        if not target.is_file():
            raise OutputError(f"{target}: is no regular file; name another file")
        if not overwrite:
            raise OutputExistsError(f"{target}: exists already; --overwrite replaces it")
    if not target.parent.is_dir():
        raise OutputError(f"{target.parent}: no such folder to write to")


def _window(info: VideoInfo, output: OutputSettings) -> tuple[int, int] | None:
    """The pts to write, start <= pts < stop; None: all."""
    if output.start is None and output.end is None:
        return None
    first = info.pts[0]
    start = first + round((output.start or 0) / info.time_base)
    stop = info.pts[-1] + 1
    if output.end is not None:
        stop = min(stop, first + round(output.end / info.time_base))
    return start, stop


def check_unchanged(source: Path, sha256: str) -> None:
    """Raise InputError where the source is no longer the file of that digest.

    Costs a `stat` while the file's version is the same, and a digest where it is not: so a copy
    over it with the same size and a forged modification time is noticed, and a changed permission
    is not taken for a change. See `FileVersion`.
    """
    try:
        changed = sha256_of(source) != sha256
    except OSError as error:
        raise InputError(
            f"{source} went away while facepipe was at work ({error.strerror})"
        ) from error
    if changed:
        raise InputError(f"{source} changed while facepipe was at work; nothing was written")


@contextmanager
def translated_errors(source: Path, target: Path) -> Iterator[None]:
    """Raise errors of the system and of FFmpeg within as facepipe's own."""
    try:
        yield
    except MemoryError as error:
        raise OutOfMemoryError(
            f"{source}: there is not enough memory for it; fewer --workers need less"
        ) from error
    except OSError as error:  # FFmpeg's errors are such too
        if error.errno == errno.ENOMEM:
            raise OutOfMemoryError(f"{source}: there is not enough memory for it") from error
        if error.filename is not None and str(error.filename) == str(source):
            raise InputError(f"{source}: cannot be read ({error.strerror or error})") from error
        raise as_facepipe_error(error, f"making {target}") from error
