"""Answers: what the page is told, as values that become JSON."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from pydantic import BaseModel

from facepipe.configs.settings import Settings
from facepipe.datatypes import Float64, Track, VideoInfo
from facepipe.errors import printable
from facepipe.models.registry import RESTORERS
from facepipe.presentation.crops import Shown
from facepipe.presentation.moments import best_times
from facepipe.presentation.refusals import explain
from facepipe.presentation.views import seconds_of
from facepipe.presentation.words import clock, summary
from facepipe.ui.commands import arguments
from facepipe.ui.jobs import Job
from facepipe.ui.library import Library, new_target, page_path
from facepipe.ui.project import KEYS, Opened, Project


def about_video(project: Project, opened: Opened, library: Library) -> dict[str, Any]:
    """A video: its size and length, its settings, and its tracks where it was searched."""
    info = opened.info
    width, height = shown_size(info)
    aspect = Shown.of(info.rotation, info.sample_aspect_ratio).aspect
    stretched = (width, height * aspect) if info.rotation % 180 else (width * aspect, height)
    target = new_target(project.video, set())
    return {
        "name": library.name_of(project.video),
        "mark": mark_of(project),
        "frames": len(info.pts),
        "seconds": info.seconds,
        "length": clock(info.seconds),
        "width": width,
        "height": height,
        "shape": stretched[0] / stretched[1],
        "settings": _values(opened.settings),
        "others": [printable(line, longest=200) for line in project.other_settings()],
        "defaults": _values(Settings()),
        "restorers": [{"name": one.name, "summary": one.summary} for one in RESTORERS],
        "searched": opened.found is not None,
        "summary": summary(opened.tracks) if opened.found is not None else "",
        "warnings": list(info.warnings if opened.found is None else opened.found.warnings),
        "tracks": [_track(track, info) for track in opened.tracks],
        "files": [project.analysis_path.name, project.settings_path.name],
        "commands": {
            "analyze": ["facepipe", *arguments("analyze", project.video, project.analysis_path)],
            "render": ["facepipe", *arguments("render", project.video, target)],
        },
    }


def about_moment(opened: Opened, frame: int) -> dict[str, Any]:
    """The frame of that number: its pts and time, and the boxes that it shows."""
    info = opened.info
    pts = info.pts[frame]
    seconds = seconds_of(pts, info)
    covering = [track for track in opened.tracks if track.covers(pts)]
    return {
        "frame": frame,
        "pts": pts,
        "seconds": seconds,
        "clock": clock(seconds),
        "boxes": [
            {"number": t.number, "enhance": t.enhance, "box": shown_box(t.box_at(pts), info)}
            for t in covering
        ],
    }


def best_frame(track: Track, frames: Sequence[int]) -> int:
    """The number of the frame that shows a track best; of the nearest one where none does."""
    times = best_times(track, frames, 1)
    return min(bisect_left(frames, times[0] if times else track.first), len(frames) - 1)


def about_job(job: Job, library: Library) -> dict[str, Any]:
    """A job, with the files that it has made and that can be downloaded."""
    target = library.folder / job.target
    made = []
    if job.kind == "render" and job.state == "done":
        made = [library.name_of(path) for path in (target, page_path(target)) if path.is_file()]
    return asdict(job) | {"made": made}


def mark_of(project: Project) -> str:
    """A text that is another one once a file of the video has changed."""
    versions = project.versions()
    return "-".join("" if one is None else f"{one.size:x}.{one.changed_ns:x}" for one in versions)


def shown_size(info: VideoInfo) -> tuple[int, int]:
    """Width and height of the video as it is shown, upright, in its own pixels."""
    return (info.height, info.width) if info.rotation % 180 else (info.width, info.height)


def shown_box(box: np.ndarray, info: VideoInfo) -> list[float]:
    """[x, y, width, height] of a box (xyxy, of the frame), in the video as it is shown."""
    corners: Float64 = np.asarray(box, np.float64).reshape(2, 2) + 0.5
    width, height = info.width, info.height
    for _ in range(round(info.rotation / 90) % 4):
        corners = np.stack((corners[:, 1], width - corners[:, 0]), 1)
        width, height = height, width
    low, high = corners.min(0), corners.max(0)
    return [round(float(value), 2) for value in (*low, *(high - low))]


def _track(track: Track, info: VideoInfo) -> dict[str, Any]:
    told: dict[str, Any] = {
        "number": track.number,
        "enhance": track.enhance,
        "size": round(track.size),
        "from": clock(seconds_of(track.first, info)),
        "to": clock(seconds_of(track.last, info)),
    }
    if not track.enhance:
        refusal = explain(track.reason)
        told |= {"kind": refusal.kind, "why": "", "remedy": refusal.remedy}
        if track.reason is not None:  # who has left it out by hand knows why
            told["why"] = refusal.words
    return told


def _values(settings: Settings) -> dict[str, object]:
    """The settings that the page sets, by their dotted keys."""
    values: dict[str, object] = {}
    for key in KEYS:
        value: object = settings
        for part in key.split("."):
            assert isinstance(value, BaseModel)
            value = getattr(value, part)
        values[key] = list(value) if isinstance(value, tuple) else _plain(value)
    return values


def _plain(value: object) -> object:
    return value if isinstance(value, (int, float, str, type(None))) else str(value)
