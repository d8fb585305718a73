"""What commands print: texts made safe for a terminal, warnings, and the summary of a run."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from facepipe.configs.notices import SHORT_NOTICE
from facepipe.errors import printable

if TYPE_CHECKING:
    from pathlib import Path

    from facepipe.datatypes import Analysis
    from facepipe.datatypes.stages import Stage
    from facepipe.pipeline.api import Summary
    from facepipe.pipeline.preflight import Plan
    from facepipe.presentation.preview import Preview


def print_error(message: object) -> None:
    """Print why a command ends, in one line on stderr."""
    print(f"facepipe: {printable(message)}", file=sys.stderr)


def print_warnings(warnings: Iterable[str]) -> None:
    """Print each warning in one line on stderr."""
    for warning in warnings:
        print(f"warning: {printable(warning)}", file=sys.stderr)


def print_summary(summary: Summary) -> None:
    """Print what a run did, what it left undone, and the notice."""
    print_warnings(summary.warnings)
    line = (
        f"{printable(summary.target)}: {summary.frames} frames, {summary.faces} faces of "
        f"{summary.tracks} tracks enhanced, {summary.refused} tracks refused, "
        f"{summary.seconds:.1f} s"
    )
    if summary.resumed:
        line += f", {summary.resumed} spans kept from an earlier run"
    print(line)
    if summary.cpu_seconds is not None:
        print_cpu_seconds(summary.cpu_seconds)
    if summary.advice:
        print(summary.advice)
    print(SHORT_NOTICE)


def print_cpu_seconds(seconds: Mapping[Stage, float]) -> None:
    """Print the seconds of CPU by stage, and the share of each in all CPU time."""
    total = sum(taken for name, taken in seconds.items() if name != "waiting")
    print(f"{total:.1f} s of CPU:")
    for name, taken in seconds.items():
        share = "" if name == "waiting" else f"{taken / max(total, 1e-9):7.1%}"
        print(f"  {name:13}{taken:8.2f} s{share}")


def print_analysis(analysis: Analysis, target: Path) -> None:
    """Print how many tracks an analysis has, and its warnings."""
    from facepipe.video.damage import describe_damage

    enhanced = sum(track.enhance for track in analysis.tracks)
    print(
        f"{printable(target)}: {len(analysis.tracks)} tracks, {enhanced} to enhance, "
        f"{len(analysis.tracks) - enhanced} refused with their reasons"
    )
    print_warnings((*analysis.warnings, *describe_damage(analysis.damage, analysis.time_base)))


def print_preview(preview: Preview, target: Path) -> None:
    """Print where to look: each face of a sheet with its track, time, size and why it is shown."""
    from facepipe.presentation.refusals import explain
    from facepipe.presentation.words import WHY, title_of

    print(f"{printable(target)}: {printable(preview.sheet.title)}")
    for view in preview.views:
        track = view.moment.track
        why = WHY[view.moment.why] if track.enhance else f"refused: {explain(track.reason).kind}"
        line = f"  {title_of(view.moment, view.seconds)}"
        print(printable(f"{line}  {why}" if why else line))
    for note in preview.sheet.notes:
        print(printable(note))
    print(SHORT_NOTICE)


def print_image_plan(
    source: Path, target: Path, size: tuple[int, int], scale: int, notes: Iterable[str]
) -> None:
    """Print what a run would do with a photograph: its size, the output's, warnings."""
    width, height = size
    print(f"source: {printable(source)}: {width}x{height}")
    print(f"output: {printable(target)}: {width * scale}x{height * scale}")
    for note in notes:
        print(f"warning: {printable(note)}")


def print_plan(plan: Plan, target: Path) -> None:
    """Print what a run would do: source, output, copied streams, workers, spans, warnings."""
    from facepipe.video.damage import describe_damage

    info, encode = plan.info, plan.encode
    width, height = info.width * encode.scale, info.height * encode.scale
    options = " ".join(f"{key}={value}" for key, value in encode.options)
    video = f"stream {info.stream_index}, {info.codec} {info.pix_fmt}"
    print(f"source: {printable(info.path)}: {info.container}, {video}")
    print(f"  {info.width}x{info.height}, {len(info.pts)} frames, {info.seconds:.2f} s")
    print(
        f"output: {printable(target)}: {encode.codec} {options} {encode.pix_fmt}, {width}x{height}"
    )
    for stream in info.others:
        if stream.index not in plan.leave_out:
            print(f"  copied: stream {stream.index}, {stream.kind} {stream.codec}")
    print(f"workers: {plan.workers}")
    print(f"spans: {len(plan.spans)}")
    for span in plan.spans:
        start = float((span.start - info.pts[0]) * info.time_base)
        stop = float((span.stop - info.pts[0]) * info.time_base)
        print(f"  {span.index}: {start:.2f} s to {stop:.2f} s")
    for note in (*info.warnings, *describe_damage(info.damage, info.time_base), *plan.notes):
        print(f"warning: {printable(note)}")
