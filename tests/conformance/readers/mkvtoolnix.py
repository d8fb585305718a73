"""MKVToolNix: libmatroska, by the authors of Matroska; it reads MP4 and TS too."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from conformance.readers.base import Facts, Reader, first_line, output_of

_KEPT = frozenset(
    (
        *("language", "language_ietf", "track_name", "default_track", "forced_track"),
        *("enabled_track", "flag_hearing_impaired", "flag_visual_impaired", "flag_commentary"),
        *("flag_original", "display_dimensions", "pixel_dimensions", "display_unit", "stereo_mode"),
        *(
            "default_duration",
            "audio_channels",
            "audio_sampling_frequency",
            "audio_bits_per_sample",
        ),
        *("color_matrix_coefficients", "color_primaries", "color_transfer_characteristics"),
        *("color_range", "max_content_light", "max_frame_light", "codec_delay", "text_subtitles"),
    )
)
_BLOCK = re.compile(r"\+ (Cluster$|.*block.*timestamp (\d+):(\d+):(\d+)\.(\d+))", re.IGNORECASE)
_TRACK = re.compile(r"track number (\d+)")
_ELEMENTS = {"Cues": "no index (Cues)", "Duration": "no duration"}


class MkvToolNix(Reader):
    """mkvmerge identifies and copies, mkvinfo lists every block."""

    name = "MKVToolNix"

    def version(self) -> str | None:
        return first_line("mkvmerge", "--version")

    def facts(self, path: Path) -> Facts:
        told = json.loads(output_of("mkvmerge", "-J", path, wanted=None))
        container = told["container"]
        found = {"container": str(container["type"])}
        properties = container["properties"]
        if "duration" in properties:
            found["duration"] = f"{properties['duration'] / 1e9:.2f} s"
        if "title" in properties:
            found["title"] = properties["title"]
        for number, track in enumerate(told["tracks"]):
            name = f"track {number} ({track['type']})"
            found[f"{name} codec"] = track["codec"]
            kept = {k: v for k, v in track["properties"].items() if k in _KEPT}
            found |= {f"{name} {key}": str(value) for key, value in kept.items()}
        entries = [chapter["num_entries"] for chapter in told["chapters"]]
        return found | {"chapters": str(entries), "attachments": str(len(told["attachments"]))}

    def complaints(self, path: Path) -> Sequence[str]:
        with tempfile.TemporaryDirectory() as folder:
            said = output_of("mkvmerge", "-o", Path(folder) / "copy.mkv", path, wanted=None)
        found = [line for line in said.splitlines() if line.startswith(("Warning:", "Error:"))]
        found = [line.replace(str(path), path.suffix) for line in found]
        return [*found, *(_of_blocks(path) if path.suffix in (".mkv", ".webm") else ())]


def _of_blocks(path: Path) -> Sequence[str]:
    """What is wrong with the order of blocks, and with what players seek by."""
    listed = output_of("mkvinfo", "-a", path)
    found = [words for name, words in _ELEMENTS.items() if not re.search(rf"\+ {name}\b", listed)]
    late, latest = 0, dict[str, int]()
    for line in listed.splitlines():
        block = _BLOCK.search(line)
        if block is None:
            continue
        if block[1] == "Cluster":
            latest = {}
            continue
        hours, minutes, whole, nano = (int(part) for part in block.groups()[1:])
        when = (hours * 3600 + minutes * 60 + whole) * 10**9 + nano
        track = _TRACK.search(line)
        number = track[1] if track else ""
        earlier = max((time for key, time in latest.items() if key != number), default=-1)
        # Frames that are coded out of order lie behind others of their own track only.
        late += max(when, latest.get(number, -1)) < earlier
        latest[number] = max(latest.get(number, -1), when)
    return [*found, *([f"{late} blocks after later ones of other tracks"] if late else [])]
