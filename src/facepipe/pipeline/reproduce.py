"""Reproduction: render an output again by its report, and compare the decoded frames."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np

from facepipe import __version__
from facepipe._system.files import is_image, is_there, sha256_of
from facepipe.configs.settings import Settings, SignSettings
from facepipe.configs.trust import risks_of
from facepipe.datatypes import Frame, Span, VideoInfo
from facepipe.errors import FacepipeError, InputError, ModelError, OutputError
from facepipe.images.still import read_image
from facepipe.pipeline import api
from facepipe.pipeline.passes import OnEvent
from facepipe.pipeline.preflight import check_restorer
from facepipe.pipeline.report_seal import is_intact
from facepipe.pipeline.sidecar import REPORT_SUFFIX, Sidecar, read_sidecar, sidecar_path
from facepipe.video import decode, probe

_MOST_STREAMS = 64  # that are looked at for the one that was enhanced


@dataclass(frozen=True)
class Reproduction:
    """What became of the comparison. `largest` is the largest difference, in code values.

    `first` is the number of the first frame that differs, from 0, None: none does. `same_file`: all
    bytes are the same.
    """

    output: Path
    frames: int
    differing: int = 0
    first: int | None = None
    largest: int = 0
    same_file: bool = False
    notes: tuple[str, ...] = ()

    @property
    def is_same(self) -> bool:
        """Whether every decoded frame is the same."""
        return self.differing == 0


def reproduce(
    path: Path,
    *,
    source: Path | None = None,
    analysis: Path | None = None,
    keep: Path | None = None,
    workers: int | None = None,
    trusted: bool = False,
    on_event: OnEvent | None = None,
) -> Reproduction:
    """Enhance the source of a report again with its settings, and compare with its output.

    `path` is the report, or the output beside it. `source` and `analysis` None: they are looked for
    beside it, by their names. The copy goes to `keep`, or to a temporary folder. Nothing is signed.
    What reaches further than the result (see `risks_of`) is taken of a `trusted` report alone.
    Raises InputError for such a report, and where one of the files is missing or another one,
    ModelError for other weights; else as `enhance`.
    """
    report, output = _report(path)
    _check_trust(path, report, trusted=trusted)
    beside = output.parent
    source = _named(source, beside / report.source.name, report.source.sha256, "--source")
    settings = report.settings.model_copy(
        update={"workers": workers, "profile_time": False, "sign": SignSettings()}
    )
    _check_model(report, settings)
    if report.analysis is not None:
        named = beside / report.analysis.name
        analysis = _named(analysis, named, report.analysis.sha256, "--analysis")
    else:
        analysis = None
    if keep is not None and (keep.exists() or keep.suffix.lower() != output.suffix.lower()):
        raise OutputError(f"--keep {keep}: must be a new file named *{output.suffix}")
    with tempfile.TemporaryDirectory(prefix="facepipe-reproduce-") as folder:
        made = keep or Path(folder) / output.name
        if analysis is None:
            api.enhance(source, made, settings, on_event=on_event)
        else:
            api.render(source, analysis, made, settings, on_event=on_event)
        found = compare_frames(output, made, report)
    return replace(found, notes=tuple(_notes(report)))


def _check_trust(path: Path, report: Sidecar, *, trusted: bool) -> None:
    """Refuse what a report of a stranger may use to reach other files than the result."""
    named = [report.source.name, *([report.analysis.name] if report.analysis else [])]
    for name in named:
        if PureWindowsPath(name).name != name or PurePosixPath(name).name != name:
            raise InputError(f"{path}: names a file in another folder, {name!r}")
    risks = list(risks_of(report.settings))
    if risks and not trusted:
        raise InputError(
            f"{path}: its settings reach further than the result ({', '.join(risks)}); if the "
            "report is your own, --trust-report takes them"
        )


def _report(path: Path) -> tuple[Sidecar, Path]:
    """The report, and the output that it belongs to."""
    name = path.name.removesuffix(REPORT_SUFFIX)
    output = path.with_name(name)
    report = sidecar_path(output)
    if not is_there(report):
        raise InputError(f"{report}: there is no such report")
    if not is_there(output) or not output.is_file():
        raise InputError(f"{output}: the output of the report is not beside it")
    sidecar = read_sidecar(report)
    if is_intact(report.read_bytes()) is False:
        raise InputError(f"{report}: was changed since it was written; `facepipe verify` says more")
    return sidecar, output


def _named(given: Path | None, beside: Path, sha256: str, option: str) -> Path:
    """The file that was given, or the one beside the output; InputError unless it is that one."""
    path = given or beside
    if not is_there(path) or not path.is_file():
        hint = "" if given else f"; {option} FILE names it"
        raise InputError(f"{path}: there is no such file{hint}")
    if sha256_of(path) != sha256:
        raise InputError(f"{path}: is another file than the report names (sha256 differs)")
    return path


def _check_model(report: Sidecar, settings: Settings) -> None:
    model, _ = check_restorer(settings)
    here = dict(zip((p.name for p in model.paths), model.sha256, strict=True)) if model else {}
    if here != report.model.files:
        raise ModelError(
            f"the weights of {report.model.restorer} are other ones here than in the report"
        )


def _notes(report: Sidecar) -> Iterator[str]:
    """What is not the same here as where the output was made."""
    made = report.versions.get("facepipe")
    if made != __version__:
        yield f"made by facepipe {made}, this is {__version__}"


def compare_frames(output: Path, made: Path, report: Sidecar) -> Reproduction:
    """Compare the decoded frames of two files. InputError where one of them does not decode."""
    if sha256_of(output) == sha256_of(made):
        return Reproduction(output, report.output.frames, same_file=True)
    found = Reproduction(output, 0)
    pairs = zip_longest(*(_frames(path, report) for path in (output, made)))
    for number, (one, other) in enumerate(pairs):
        far = _difference(one, other)
        found = replace(
            found,
            frames=number + 1,
            differing=found.differing + (far > 0),
            first=number if far and found.first is None else found.first,
            largest=max(found.largest, far),
        )
    return found


def _difference(one: Frame | None, other: Frame | None) -> int:
    """The largest difference of two frames in code values; all of the range where one is missing.

    So it is for frames of another time, size or pixel format.
    """
    if one is None or other is None:
        return 1 << 16
    alike = (one.pts, one.format, [p.shape for p in one.planes]) == (
        other.pts, other.format, [p.shape for p in other.planes]
    )  # fmt: skip
    if not alike:
        return 1 << one.format.bits
    pairs = zip(one.planes, other.planes, strict=True)
    return max(int(np.abs(a.astype(np.int32) - b).max()) for a, b in pairs)


def _frames(path: Path, report: Sidecar) -> Iterator[Frame]:
    if is_image(path):
        yield read_image(path.read_bytes(), path.name).frame
        return
    info = _enhanced_stream(path, report)
    yield from decode(info, Span(0, info.pts[0], info.pts[-1] + 1))


def _enhanced_stream(path: Path, report: Sidecar) -> VideoInfo:
    """The video stream that was enhanced: the first of the size that the report names."""
    wanted = report.output.width, report.output.height
    settings = report.settings
    most = settings.limits.frame_megapixels * settings.output.scale**2
    limits = settings.limits.model_copy(update={"frame_megapixels": most})
    for stream in (None, *range(_MOST_STREAMS)):
        try:
            info = probe(path, limits, stream)
        except FacepipeError:
            if stream is None:
                raise
            continue
        if (info.width, info.height) == wanted:
            return info
    raise InputError(f"{path}: has no video of {wanted[0]}x{wanted[1]} px, as the report names")
