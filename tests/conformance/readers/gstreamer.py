"""GStreamer: demuxers and parsers of its own; libvpx, openh264, dav1d and others decode."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from conformance.readers.base import Facts, Reader, Shown, first_line, output_of, seconds

_PYTHON = "/usr/bin/python3"
_SCRIPT = Path(__file__).with_name("players") / "gstreamer_player.py"
#: Tags that tell of the encoder, or follow from the bytes.
_OWN = frozenset(
    (
        *("encoder", "encoder-version", "application-name", "bitrate", "minimum-bitrate"),
        *(
            "maximum-bitrate",
            "nominal-bitrate",
            "datetime",
            "comment",
            "container-specific-track-id",
            "extended-comment",
        ),
    )
)
#: Tags of the whole video; those of streams are among these too.
_TAGS = frozenset(
    (
        *("title", "artist", "album", "genre", "copyright", "description", "composer", "keywords"),
        *(
            "geo-location-latitude",
            "geo-location-longitude",
            "image-orientation",
        ),
    )
)


class GStreamer(Reader):
    """GStreamer by its bindings for the system's own Python."""

    name = "GStreamer"

    def version(self) -> str | None:
        said = first_line(_PYTHON, str(_SCRIPT))
        return said or None

    def facts(self, path: Path) -> Facts:
        told = _seen(path, ())["facts"]
        found = {"duration": seconds(told["duration"])}
        found |= {f"tag {key}": str(value) for key, value in told["tags"].items() if key in _TAGS}
        for number, stream in enumerate(sorted(told["streams"], key=lambda one: str(one["kind"]))):
            name = f"stream {number} ({stream['kind']})"
            own = {key: value for key, value in stream.items() if key not in ("kind", "tags")}
            tags = {key: value for key, value in stream["tags"].items() if key not in _OWN}
            found |= {f"{name} {key}": str(value) for key, value in (own | tags).items()}
        return found

    def frames(self, path: Path, times: Sequence[float]) -> Sequence[Shown | None]:
        shown = _seen(path, tuple(times))["frames"]
        return [None if one is None else _array(one) for one in shown]


@cache
def _seen(path: Path, times: tuple[float, ...]) -> dict[str, Any]:
    said = output_of(_PYTHON, _SCRIPT, path, stdin=json.dumps(times))
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found


def _array(one: Sequence[Any]) -> Shown:
    width, height, content = one
    return np.frombuffer(bytes.fromhex(content), np.uint8).reshape(height, width)
