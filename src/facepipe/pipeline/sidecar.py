"""The sidecar: a JSON report of what was done to which face, with what, and its worth as evidence.

It lies in the output's folder as `OUTPUT.facepipe.json`, for videos and for images.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from fractions import Fraction
from importlib.metadata import PackageNotFoundError, version
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
)

from facepipe._system.files import write_text
from facepipe.configs.notices import NOTICE
from facepipe.configs.settings import Settings
from facepipe.datatypes import (
    OWN_ALIGNMENT,
    Alignment,
    Analysis,
    Clock,
    Damage,
    Part,
    Track,
    VideoInfo,
)
from facepipe.datatypes.stages import Stage
from facepipe.faces.canvas import canvas_bounds, canvas_to_frame, improves
from facepipe.faces.restoration.paste import scaled
from facepipe.models.registry import ModelFiles
from facepipe.pipeline.analysis_file import track_summary
from facepipe.video import EncodeSettings
from facepipe.video.damage import describe_damage, merged, places

#: What a report's name has more than that of its file.
REPORT_SUFFIX = ".facepipe.json"

_PACKAGES = ("facepipe", "numpy", "opencv-python-headless", "av", "onnxruntime", "torch")


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _WithOptionalKeys(_Model):
    """A model whose keys are left out of the JSON where they are None."""

    @model_serializer(mode="wrap")
    def _without_none(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in serialize(self).items() if value is not None}


class SourceReport(_WithOptionalKeys):
    """The source file. The last key is there for videos alone."""

    name: str = Field(description="file name, without its folder")
    sha256: str = Field(description="SHA-256 of the file, hexadecimal")
    frames: int = Field(description="video frames; 1 for a photograph")
    width: int = Field(description="pixels")
    height: int = Field(description="pixels")
    stream: int | None = Field(default=None, description="index of the video stream")


class OutputReport(_WithOptionalKeys):
    """The output file. The last three keys are there for videos alone."""

    name: str = Field(description="file name, without its folder")
    sha256: str = Field(description="SHA-256 of the file, hexadecimal")
    frames: int = Field(description="video frames written; 1 for a photograph")
    width: int = Field(description="pixels")
    height: int = Field(description="pixels")
    encoder: str | None = Field(default=None, description="FFmpeg's name of the encoder")
    encoder_options: dict[str, str] | None = Field(
        default=None, description="options that the encoder was given"
    )
    pixel_format: str | None = Field(default=None, description="FFmpeg's name of the pixel format")


class ModelReport(_Model):
    """The model that restored the faces."""

    restorer: str = Field(description="name of the restorer, or path of its weights")
    runs_on: list[str] = Field(description="runtimes and devices that were used, sorted")
    files: dict[str, str] = Field(description="SHA-256 of each weights file by its name")


class JointReport(_Model):
    """A place at which the source's clock begins anew; what follows is joined to what was."""

    at_seconds: float = Field(description="its time, from the first picture on")
    jump_seconds: float = Field(description="how far the clock jumps there, below 0: back")


class ClockReport(_Model):
    """The times of the source, and how those of the output differ.

    Times in this report are the source's, with all joints closed.
    """

    begins_at_seconds: float = Field(description="time of the source's first picture or sound")
    output_earlier_seconds: float = Field(
        description="by how much all times of the output are earlier, pictures and sound alike"
    )
    joints: list[JointReport] = Field(description="places at which the clock begins anew")


class KnotReport(_WithOptionalKeys):
    """One knot of a track; between knots everything is interpolated."""

    pts: int = Field(description="time in the video stream's time base")
    box: list[float] = Field(description="the face's x0, y0, x1, y1 in pixels of the source")
    score: float | None = Field(
        default=None, description="how sure the detector is that it is a face, from 0 to 1"
    )
    changed: list[int] | None = Field(
        default=None,
        description="x0, y0, x1, y1 of the output's pixels that may differ; absent: none do",
    )


class TrackReport(_Model):
    """One face followed through time."""

    number: int = Field(description="the track's number, as in analysis.json")
    enhance: bool = Field(description="whether its faces were enhanced")
    reason: str | None = Field(description="why they were not, or null")
    from_seconds: float = Field(description="time of its first knot")
    to_seconds: float = Field(description="time of its last knot")
    size_px: float = Field(description="median side of its box, pixels of the source")
    knots: list[KnotReport] = Field(description="its knots by rising pts")


class CopiedReport(_Model):
    """A stretch whose compressed packets were copied from the source."""

    from_seconds: float = Field(description="its begin")
    to_seconds: float = Field(description="its end, not included")
    frames: int = Field(description="its frames")


class PassedThroughReport(_Model):
    """A stretch that could not be enhanced and was encoded as it is."""

    from_seconds: float = Field(description="its begin")
    to_seconds: float = Field(description="its end, not included")
    reason: str = Field(description="why it could not be enhanced")


class DamageReport(_Model):
    """A damaged stretch of the source."""

    from_seconds: float = Field(description="time of the first frame concerned")
    to_seconds: float = Field(description="time of the last frame concerned")
    frames: int = Field(description="frames concerned; 0 where nobody knows how many")
    what: str = Field(description='what is wrong with them, as a verb: "do not decode"')


class Sidecar(_WithOptionalKeys):
    """The whole report of one output file, in the order of its keys."""

    format: Literal["facepipe-sidecar/1"] = Field(
        default="facepipe-sidecar/1", description="name and version of this format"
    )
    notice: str = Field(default=NOTICE, description="what enhanced faces are worth as evidence")
    versions: dict[str, str] = Field(description="versions of Python and of the packages used")
    source: SourceReport = Field(description="the source file")
    output: OutputReport = Field(description="the output file")
    clock: ClockReport | None = Field(
        default=None, description="times of the source and of the output; of videos alone"
    )
    model: ModelReport = Field(description="the model that restored the faces")
    settings: Settings = Field(description="all settings of the run")
    faces_enhanced: int = Field(description="enhanced faces, counted over all frames")
    tracks: list[TrackReport] = Field(description="every face found, enhanced or not")
    cuts: list[float] | None = Field(
        default=None, description="times at which a scene begins, in seconds"
    )
    copied: list[CopiedReport] = Field(description="stretches copied from the source")
    passed_through: list[PassedThroughReport] = Field(
        description="stretches that could not be enhanced"
    )
    damage: list[DamageReport] = Field(description="damaged stretches of the source")
    warnings: list[str] = Field(description="everything else worth knowing, in words")
    cpu_seconds: dict[Stage, float] | None = Field(
        default=None, description="seconds of CPU by stage; with `--profile-time` alone"
    )


def make_sidecar(
    *,
    info: VideoInfo,
    analysis: Analysis,
    settings: Settings,
    model: ModelFiles | None,
    parts: Sequence[Part],
    target: Path,
    target_sha256: str,
    notes: Sequence[str],
    alignment: Alignment = OWN_ALIGNMENT,
    encode: EncodeSettings | None = None,
    earlier: Fraction = Fraction(0),
    cpu_seconds: Mapping[Stage, float] | None = None,
) -> Sidecar:
    """The sidecar of `target`; `encode` is None for photographs, which keep their own kind.

    `alignment` is the restorer's. `earlier` are seconds by which all times of the output are
    earlier than the source's; `cpu_seconds` are by stage, up to now.
    """
    of_parts = chain.from_iterable(part.damage for part in parts)
    damage = merged([*info.damage, *analysis.damage, *of_parts], info.pts)
    part_warnings = chain.from_iterable(part.warnings for part in parts)
    described = describe_damage(damage, info.time_base)
    warnings = [*info.warnings, *analysis.warnings, *part_warnings, *described, *notes]
    return Sidecar(
        versions=_versions(),
        source=SourceReport(
            name=Path(info.path).name,
            sha256=analysis.source_sha256,
            frames=len(info.pts),
            width=info.width,
            height=info.height,
            stream=info.stream_index if encode else None,
        ),
        output=OutputReport(
            name=target.name,
            sha256=target_sha256,
            frames=sum(part.frames for part in parts),
            width=info.width * settings.output.scale,
            height=info.height * settings.output.scale,
            **_encoder(encode),
        ),
        clock=_clock(info.clock, earlier) if encode else None,
        model=_model(settings, model, parts),
        settings=settings,
        faces_enhanced=sum(part.faces for part in parts),
        tracks=[
            _track(track, analysis, settings.output.scale, alignment) for track in analysis.tracks
        ],
        cuts=[round(float(cut * info.time_base), 3) for cut in analysis.cuts] if encode else None,
        copied=_copied(parts, info.time_base),
        passed_through=_passed_through(parts, info.time_base),
        damage=_damage(damage, info.time_base),
        warnings=list(dict.fromkeys(warnings)),
        cpu_seconds=None if cpu_seconds is None else dict(cpu_seconds),
    )


def _encoder(encode: EncodeSettings | None) -> dict[str, Any]:
    """The fields that say how the output was encoded; none for photographs."""
    if encode is None:
        return {}
    return {
        "encoder": encode.codec,
        "encoder_options": dict(encode.options),
        "pixel_format": encode.pix_fmt,
    }


def _clock(clock: Clock, earlier: Fraction) -> ClockReport:
    return ClockReport(
        begins_at_seconds=float(clock.begin),
        output_earlier_seconds=float(earlier),
        joints=[
            JointReport(at_seconds=joint.seconds, jump_seconds=joint.jump) for joint in clock.joints
        ],
    )


def _model(settings: Settings, model: ModelFiles | None, parts: Sequence[Part]) -> ModelReport:
    paths, digests = (model.paths, model.sha256) if model else ((), ())
    return ModelReport(
        restorer=settings.restore.restorer,
        runs_on=sorted({part.runs_on for part in parts} - {""}),
        files={path.name: sha256 for path, sha256 in zip(paths, digests, strict=True)},
    )


def _damage(damage: Sequence[Damage], time_base: Fraction) -> list[DamageReport]:
    return [
        DamageReport(
            from_seconds=float(place.first * time_base),
            to_seconds=float(place.last * time_base),
            frames=place.frames,
            what=place.what,
        )
        for place in places(damage, time_base)
    ]


def write_sidecar(content: Sidecar, path: Path) -> None:
    """Write the sidecar atomically. Raises OutputError as the disk refuses."""
    write_text(json.dumps(content.model_dump(mode="json"), indent=1) + "\n", path)


def sidecar_path(target: Path) -> Path:
    """Where the sidecar of `target` lies."""
    return target.with_name(f"{target.name}{REPORT_SUFFIX}")


def changed_box(
    track: Track,
    knot: int,
    *,
    scale: int,
    width: int,
    height: int,
    alignment: Alignment = OWN_ALIGNMENT,
) -> list[int]:
    """[x0, y0, x1, y1] of the output pixels that a track may change at one of its knots."""
    to_out = scaled(canvas_to_frame(track.landmarks[knot], alignment), scale)
    return list(canvas_bounds(to_out, width * scale, height * scale, alignment.side))


def scale_advice(analysis: Analysis, scale: int) -> str | None:
    """The sentence that suggests a larger output where the faces found stay tiny in it."""
    sizes = sorted(track.size for track in analysis.tracks if track.enhance)
    if not sizes or scale == 4:
        return None
    median = sizes[len(sizes) // 2]
    if median * scale >= 48:
        return None
    wanted = 2 if median * 2 >= 48 and scale < 2 else 4
    return f"the faces are about {median:.0f} px: --scale {wanted} would show what was restored"


def _track(track: Track, analysis: Analysis, scale: int, alignment: Alignment) -> TrackReport:
    knots = [
        KnotReport(
            pts=int(track.pts[k]),
            box=[round(float(value), 1) for value in track.boxes[k]],
            score=round(float(track.scores[k]), 4),
            changed=changed_box(
                track,
                k,
                scale=scale,
                width=analysis.width,
                height=analysis.height,
                alignment=alignment,
            )
            if track.enhance and improves(canvas_to_frame(track.landmarks[k], alignment), alignment)
            else None,
        )
        for k in range(len(track.pts))
    ]
    return TrackReport.model_validate(track_summary(track, analysis.time_base) | {"knots": knots})


def _copied(parts: Sequence[Part], time_base: Fraction) -> list[CopiedReport]:
    return [
        CopiedReport(
            from_seconds=float(part.span.start * time_base),
            to_seconds=float(part.span.stop * time_base),
            frames=part.frames,
        )
        for part in parts
        if part.span.copied
    ]


def _passed_through(parts: Sequence[Part], time_base: Fraction) -> list[PassedThroughReport]:
    return [
        PassedThroughReport(
            from_seconds=float(part.span.start * time_base),
            to_seconds=float(part.span.stop * time_base),
            reason=part.passed_through,
        )
        for part in parts
        if part.passed_through
    ]


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
