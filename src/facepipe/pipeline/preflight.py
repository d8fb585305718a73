"""Settle what a run will do, and refuse what cannot be done, before the work starts."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from facepipe._files import sha256_of
from facepipe.configs.settings import OutputSettings, Settings
from facepipe.datatypes import Span, VideoInfo
from facepipe.errors import InputError, OutOfMemoryError, OutputError, UsageError
from facepipe.models.detectors import create_detector
from facepipe.models.registry import ModelFiles, find_model
from facepipe.models.runtime import choose
from facepipe.pipeline.selection import region_of
from facepipe.pipeline.spans import plan
from facepipe.video import (
    Compatibility,
    EncodeSettings,
    SmartRender,
    check_encoder,
    check_target,
    output_pix_fmt,
    probe,
    smart_render_of,
)
from facepipe.video.damage import refuse_damage
from facepipe.video.encoders.quality import encoder_options_of
from facepipe.video.encoders.selection import choose_encoder, named_encoder
from facepipe.video.encoders.selftest import require_usable
from facepipe.video.pixel_formats import pixel_format, working_format
from facepipe.video.sources import as_facepipe_error
from facepipe.workers.resources import affordable_workers, check_memory, worker_bytes

#: Threads of each encoder. Fixed, because x264's result depends on it and ours must not.
ENCODER_THREADS = 2
#: Bytes that a target's name may have: of 255 that disks take, less what its report's has besides.
_LONGEST_NAME = 255 - len("..facepipe.partial.json")
NO_COPYING = SmartRender("none", "copying is turned off")


@dataclass(frozen=True)
class Plan:
    """What a run would do, found out without decoding."""

    info: VideoInfo
    spans: tuple[Span, ...]
    encode: EncodeSettings  # where no target was named, nothing in it but the scale is settled
    window: tuple[int, int] | None
    notes: tuple[str, ...]
    workers: int
    leave_out: tuple[int, ...] = ()  # streams that the target does not hold
    copying: SmartRender = NO_COPYING
    source_sha256: str = ""  # where it is known


def make_plan(
    source: Path,
    settings: Settings,
    *,
    target: Path | None = None,
    overwrite: bool = False,
    here: bool = True,
) -> Plan:
    """Probe the source and settle everything that can be refused before the work starts.

    Without a `target`, nothing of the film to write is checked. `here` says whether this machine
    does the work.

    Raises InputError for the source, UsageError for settings that do not fit it, OutputError or
    MediaError for a target that cannot hold it.
    """
    info = probe(source, settings.limits)
    if settings.strict_input:
        refuse_damage(info.path, info.damage, info.time_base)
    if target is not None:
        check_output(source, target, overwrite)
    window = _window(info, settings.output)
    spans = plan(info, span_seconds=settings.span_seconds, window=window)
    if not spans:
        raise UsageError(
            f"no frame lies between --start {settings.output.start or 0:g} and "
            f"--end {settings.output.end or info.seconds:g}; the film has {info.seconds:.2f} s"
        )
    region_of(settings.choose, info)
    # Loaded here to be refused here: a missing pack or damaged weights stop every span alike.
    create_detector(settings.detect.detector, pack=settings.detect.pack, threads=1)
    encode = EncodeSettings(threads=ENCODER_THREADS, scale=settings.output.scale)
    notes: list[str] = []
    fit, copied = Compatibility(), NO_COPYING
    if target is not None:
        encode, notes = _encode_settings(settings.output, info, target)
        check_encoder(encode, info)
        asked = replace(encode, pix_fmt=settings.output.pix_fmt)
        allowed = settings.output.allow_loss
        fit = check_target(source, info, target, settings=asked, allow_loss=allowed)
        check_restorer(settings, here=here)
        if settings.output.copy_unchanged:
            copied = smart_render_of(info, encode, target)
    bytes_each = worker_bytes(
        info.width * encode.scale,
        info.height * encode.scale,
        codec=encode.codec,
        sample_bytes=2 if working_format(info.pix_fmt).bits > 8 else 1,
    )
    if here:
        check_memory(bytes_each)
    workers = settings.workers or affordable_workers(bytes_each)
    return Plan(info, spans, encode, window, (*notes, *fit.notes), workers, fit.leave_out, copied)


def check_restorer(settings: Settings, *, here: bool = True) -> tuple[ModelFiles | None, str]:
    """Find the weights and settle the device, so that both are refused before the work starts.

    What other machines have is not known: where not `here`, the device is what was asked for.
    """
    if settings.restore.restorer == "bicubic":
        return None, "none"
    model = find_model(settings.restore.restorer)
    if not here:
        return model, f"{settings.restore.runtime} on {settings.restore.device}, elsewhere"
    device, runtime = choose(settings.restore.device, settings.restore.runtime)
    return model, f"{runtime} on {device}"


def check_output(source: Path, target: Path, overwrite: bool) -> None:
    """Raise OutputError unless a file can be written to `target`, which is not the source."""
    if str(target) == "-":
        raise OutputError(
            "- is no file: what is written is read back, so it cannot go to stdout; name a file"
        )
    if len(os.fsencode(target.name)) > _LONGEST_NAME:
        raise OutputError(
            f"{target}: a name of {len(os.fsencode(target.name))} bytes is too long; "
            f"allowed are {_LONGEST_NAME}, as its report needs a longer one"
        )
    try:
        if target.exists():
            if target.is_dir():
                raise OutputError(f"{target}: is a directory, a file name is wanted")
            if source.exists() and target.samefile(source):
                raise OutputError(f"{target}: is the source itself; name another file")
            if not target.is_file():
                raise OutputError(f"{target}: is no regular file; name another file")
            if not overwrite:
                raise OutputError(f"{target}: exists already; --overwrite replaces it")
        if not target.parent.is_dir():
            raise OutputError(f"{target.parent}: no such folder to write to")
    except OSError as error:
        raise OutputError(f"{target}: cannot be written ({error.strerror or error})") from error
    try:
        with tempfile.TemporaryFile(dir=target.parent):
            pass
    except OSError as error:
        raise OutputError(
            f"{target.parent}: cannot write there ({error.strerror or error})"
        ) from error


def _window(info: VideoInfo, output: OutputSettings) -> tuple[int, int] | None:
    if output.start is None and output.end is None:
        return None
    first = info.pts[0]
    start = first + round((output.start or 0) / info.time_base)
    stop = info.pts[-1] + 1
    if output.end is not None:
        stop = min(stop, first + round(output.end / info.time_base))
    return start, stop


def _encode_settings(
    output: OutputSettings, info: VideoInfo, target: Path
) -> tuple[EncodeSettings, list[str]]:
    """How the film is encoded, and notes on where that is not the source's own way."""
    if output.pix_fmt is not None:
        _check_pix_fmt(output.pix_fmt)
    named = output.codec != "auto"
    if named:
        require_usable(output.codec)
        chosen = named_encoder(output.codec, info, output.pix_fmt, output.scale)
    else:
        asked = info if output.pix_fmt is None else replace(info, pix_fmt=output.pix_fmt)
        chosen = choose_encoder(asked, target.suffix, output.scale)
    options, notes = encoder_options_of(output, chosen.codec, chosen.options, named=named)
    encode = EncodeSettings(
        codec=chosen.codec,
        options=options,
        pix_fmt=output.pix_fmt,
        threads=ENCODER_THREADS,
        scale=output.scale,
    )
    pix_fmt, changed = output_pix_fmt(encode, info)
    told = (chosen.note, changed, *notes)
    return replace(encode, pix_fmt=pix_fmt), [note for note in told if note]


def _check_pix_fmt(name: str) -> None:
    try:
        pixel_format(name)
    except InputError as error:
        raise UsageError(f"--pix-fmt {name}: {error}; use for instance yuv420p") from error


def check_unchanged(source: Path, sha256: str) -> None:
    """Raise InputError where the source is no longer the file of that digest."""
    try:
        changed = sha256_of(source) != sha256
    except OSError as error:
        raise InputError(
            f"{source} went away while facepipe was at work ({error.strerror})"
        ) from error
    if changed:
        raise InputError(f"{source} changed while facepipe was at work; nothing was written")


@contextmanager
def told_plainly(source: Path, target: Path) -> Iterator[None]:
    """Whatever the system refuses within becomes one of facepipe's errors."""
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
