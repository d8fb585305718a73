"""Project: a video with the two files beside it that hold all that was decided about it.

They are what `facepipe analyze` writes and what `--config` reads. So the command line goes on where
the page stopped, and the page where the command line did.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from facepipe._system.files import FileVersion, sha256_of, version_of, write_text
from facepipe.configs.settings import Settings, load_settings
from facepipe.configs.toml import read_toml
from facepipe.datatypes import Analysis, Track, VideoInfo
from facepipe.errors import InputError, UsageError
from facepipe.faces.tracking.fade import faded
from facepipe.pipeline.analysis_file import read_analysis, write_analysis
from facepipe.pipeline.preflight import check_analyzed, check_restorer, translated_errors
from facepipe.pipeline.selection import choose, region_of
from facepipe.ui.library import analysis_path, settings_path
from facepipe.video import probe
from facepipe.video.shape import shaped

#: What the page sets, by the keys of the settings.
KEYS = (
    "output.scale",
    "restore.restorer",
    "restore.strength",
    "restore.fidelity",
    "choose.region",
    "detect.score",
    "detect.min_face",
    "detect.max_face",
)

_Versions = tuple[FileVersion | None, ...]


@dataclass(frozen=True)
class Opened:
    """A video as its files are now.

    `found` is the analysis, None: it was not searched yet. Of `tracks`, those are to be enhanced
    that the analysis and the settings name, each faded as a run does it.
    """

    info: VideoInfo
    settings: Settings
    found: Analysis | None
    tracks: tuple[Track, ...]

    def track(self, number: int) -> Track | None:
        """The track of that number, None: there is none."""
        return next((track for track in self.tracks if track.number == number), None)


class Project:
    """A video and its files; from any thread. Errors: FacepipeError, as the files are."""

    def __init__(self, video: Path) -> None:
        self.video = video
        self.analysis_path = analysis_path(video)
        self.settings_path = settings_path(video)
        self._lock = threading.RLock()
        self._info: tuple[tuple[FileVersion, int | None], VideoInfo] | None = None
        self._opened: tuple[_Versions, Opened] | None = None

    def versions(self) -> _Versions:
        """Which versions the files have; None for one that is not there."""
        return tuple(map(_version, (self.video, self.analysis_path, self.settings_path)))

    def opened(self) -> Opened:
        """The video as its files are now; they are read again where they changed."""
        with self._lock, translated_errors(self.video, self.video):
            versions = self.versions()
            if self._opened is None or self._opened[0] != versions:
                self._opened = versions, self._read()
            return self._opened[1]

    def other_settings(self) -> list[str]:
        """What the settings file says besides KEYS, as `key = value`."""
        if not self.settings_path.is_file():
            return []
        values = dict(_flat(read_toml(self.settings_path, "config file")))
        return [f"{key} = {value!r}" for key, value in values.items() if key not in KEYS]

    def set_enhanced(self, numbers: Sequence[int], enhance: bool) -> None:
        """Take tracks, or leave them out. UsageError: before the search, or for unknown numbers."""
        with self._lock:
            found = self.opened().found
            if found is None:
                raise UsageError("no faces were searched for yet")
            unknown = set(numbers) - {track.number for track in found.tracks}
            if unknown:
                raise UsageError(f"there is no track {min(unknown)}")
            tracks = tuple(
                replace(track, enhance=enhance) if track.number in numbers else track
                for track in found.tracks
            )
            write_analysis(replace(found, tracks=tracks), self.analysis_path)

    def assign(self, values: Mapping[str, Any]) -> None:
        """Set settings, by dotted keys of KEYS; None takes one out of the file, so to the default.

        What else the file holds stays as it is, comments too. UsageError: for other keys, and for
        values that they do not take; then nothing is written.
        """
        unknown = sorted(set(values) - set(KEYS))
        if unknown:
            raise UsageError(f"the page does not set {unknown[0]}")
        with self._lock:
            document = self._document()
            for key, value in values.items():
                _assign(document, key.split("."), value)
            settings = self._settings(
                {key: value for key, value in values.items() if value is not None}
            )
            region_of(settings.choose, self.opened().info)
            check_restorer(settings)
            write_text(tomlkit.dumps(document), self.settings_path)

    def _document(self) -> tomlkit.TOMLDocument:
        """The settings file as it is written; empty where there is none."""
        self._settings({})  # refuses a file that is none of settings
        if not self.settings_path.is_file():
            return tomlkit.parse(
                f"# Settings for {self.video.name!a}; see facepipe run --config.\n"
            )
        try:
            return tomlkit.parse(self.settings_path.read_text(encoding="utf-8"))
        except (OSError, ValueError, TOMLKitError) as error:
            raise UsageError(f"{self.settings_path}: cannot be read ({error})") from error

    def _settings(self, overrides: Mapping[str, object]) -> Settings:
        config = self.settings_path if self.settings_path.exists() else None
        settings = load_settings(config=config, overrides=overrides)
        if settings.output.options:  # the file came with the video, and encoders write files too
            raise UsageError(
                f"{self.settings_path.name} sets output.options, which can make an encoder write "
                "files: the page does not take them, `facepipe render --config` does"
            )
        return settings

    def _read(self) -> Opened:
        settings = self._settings({})
        found = None
        if self.analysis_path.exists():
            found = read_analysis(self.analysis_path, settings.limits)
        info = self._probed(settings, None if found is None else found.stream)
        if found is None:
            return Opened(shaped(info, settings.output.size), settings, None, ())
        if found.source_sha256 != sha256_of(self.video):
            raise InputError(
                f"{self.analysis_path.name} belongs to another video than {self.video.name} "
                "(sha256 differs); move it away to search anew"
            )
        if info.forms:
            info = shaped(info, f"{found.width}x{found.height}")
        check_analyzed(found, info)
        tracks = choose(found.tracks, settings.choose, info)
        whole = faded(tracks, found.cuts, info, info.pts[0], info.pts[-1] + 1)
        return Opened(info, settings, found, whole)

    def _probed(self, settings: Settings, stream: int | None) -> VideoInfo:
        chosen = settings.stream if stream is None else stream
        key = (version_of(self.video), chosen)
        if self._info is None or self._info[0] != key:
            self._info = key, probe(self.video, settings.limits, chosen)
        return self._info[1]


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of all sections, by dotted keys."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _version(path: Path) -> FileVersion | None:
    try:
        return version_of(path)
    except OSError:
        return None


def _assign(document: Any, parts: Sequence[str], value: object) -> None:
    """Set a value of a TOML document, or take it out (None), and a section that is then empty."""
    first, *rest = parts
    if not rest:
        if value is None:
            document.pop(first, None)
        else:
            document[first] = value  # a comment beside it stays
        return
    if first not in document:
        if value is None:
            return
        document[first] = tomlkit.table()
    _assign(document[first], rest, value)
    if not document[first].as_string().strip():
        document.pop(first)
