"""The sidecar: what was done to which face, with what, and what it is worth as evidence."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from facepipe._files import write_bytes
from facepipe.configs.settings import Settings
from facepipe.datatypes import Analysis, Part, Track, VideoInfo
from facepipe.faces.canvas import canvas_bounds, canvas_to_frame, frame_px_per_canvas_px
from facepipe.faces.restoration.paste import scaled
from facepipe.models.registry import ModelFiles
from facepipe.pipeline.analysis_file import track_summary
from facepipe.video import EncodeSettings
from facepipe.video.damage import describe_damage, merged, places

NOTICE = (
    "Enhanced faces are plausible inventions of a neural network. They are no evidence of what a "
    "person looked like and must not be used to identify anyone. Keep the original."
)
#: What the container itself says, where a player or a machine may read it.
CONTAINER_TAG = "AI-enhanced faces (facepipe): plausible inventions, no evidence"

_PACKAGES = ("facepipe", "numpy", "opencv-python-headless", "av", "onnxruntime", "torch")


def sidecar(
    *,
    info: VideoInfo,
    analysis: Analysis,
    settings: Settings,
    model: ModelFiles | None,
    parts: Sequence[Part],
    target: Path,
    target_sha256: str,
    notes: Sequence[str],
    encode: EncodeSettings | None = None,
) -> dict[str, Any]:
    """Everything that the sidecar says, as JSON takes it."""
    scale = settings.output.scale
    damage = merged(
        [*info.damage, *analysis.damage, *(one for part in parts for one in part.damage)], info.pts
    )
    return {
        "format": "facepipe-sidecar/1",
        "notice": NOTICE,
        "versions": _versions(),
        "source": {
            "name": Path(info.path).name,
            "sha256": analysis.source_sha256,
            "frames": len(info.pts),
            "width": info.width,
            "height": info.height,
        },
        "output": {
            "name": target.name,
            "sha256": target_sha256,
            "frames": sum(part.frames for part in parts),
            "width": info.width * scale,
            "height": info.height * scale,
            **_encoding(encode),
        },
        "model": {
            "restorer": settings.restore.restorer,
            "runs_on": sorted({part.runs_on for part in parts} - {""}),
            "files": {
                path.name: digest for path, digest in zip(model.paths, model.sha256, strict=True)
            }
            if model
            else {},
        },
        "settings": settings.model_dump(mode="json"),
        "faces_enhanced": sum(part.faces for part in parts),
        "tracks": [_track(track, analysis, scale) for track in analysis.tracks],
        "copied": [
            {
                "from_seconds": float(part.span.start * info.time_base),
                "to_seconds": float(part.span.stop * info.time_base),
                "frames": part.frames,
            }
            for part in parts
            if part.span.copied
        ],
        "passed_through": [
            {
                "from_seconds": float(part.span.start * info.time_base),
                "to_seconds": float(part.span.stop * info.time_base),
                "reason": part.passed_through,
            }
            for part in parts
            if part.passed_through
        ],
        "damage": [
            {
                "from_seconds": float(place.first * info.time_base),
                "to_seconds": float(place.last * info.time_base),
                "frames": place.frames,
                "what": place.what,
            }
            for place in places(damage, info.time_base)
        ],
        "warnings": list(
            dict.fromkeys(
                [
                    *info.warnings,
                    *analysis.warnings,
                    *(warning for part in parts for warning in part.warnings),
                    *describe_damage(damage, info.time_base),
                    *notes,
                ]
            )
        ),
    }


def write_sidecar(content: dict[str, Any], path: Path) -> None:
    """Write the sidecar, whole or not at all. Raises OutputError as the disk does."""
    write_bytes((json.dumps(content, indent=1) + "\n").encode(), path)


def sidecar_path(target: Path) -> Path:
    """Where the report of `target` lies."""
    return target.with_name(f"{target.name}.facepipe.json")


def changed_box(track: Track, knot: int, *, scale: int, width: int, height: int) -> list[int]:
    """[x0, y0, x1, y1] of the output pixels that a track may change at one of its knots."""
    to_out = scaled(canvas_to_frame(track.landmarks[knot]), scale)
    return list(canvas_bounds(to_out, width * scale, height * scale))


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


def _encoding(encode: EncodeSettings | None) -> dict[str, object]:
    if encode is None:  # a picture is written as its own kind
        return {}
    return {
        "encoder": encode.codec,
        "encoder_options": dict(encode.options),
        "pixel_format": encode.pix_fmt,
    }


def _track(track: Track, analysis: Analysis, scale: int) -> dict[str, object]:
    knots: list[dict[str, object]] = []
    for k in range(len(track.pts)):
        knot: dict[str, object] = {
            "pts": int(track.pts[k]),
            "box": [round(float(value), 1) for value in track.boxes[k]],
        }
        if track.enhance and frame_px_per_canvas_px(canvas_to_frame(track.landmarks[k])) < 1:
            knot["changed"] = changed_box(
                track, k, scale=scale, width=analysis.width, height=analysis.height
            )
        knots.append(knot)
    return track_summary(track, analysis.time_base) | {"knots": knots}


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
