"""VLC: demuxers of its own for mp4, Matroska and transport streams; FFmpeg decodes."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from conformance.readers.base import Facts, Reader, Shown, output_of, seconds
from conformance.readers.players import vlc_player


class Vlc(Reader):
    """VLC by its library, in a process of its own: it may take that along when it falls."""

    name = "VLC"
    near = 4  # it begins with what its decoder gives first

    def version(self) -> str | None:
        library = vlc_player.library()
        return None if library is None else library.libvlc_get_version().decode()

    def facts(self, path: Path) -> Facts:
        seen = _seen(path, ())
        found = {"duration": seconds(seen["duration"])}
        found |= {f"stream {n}": str(track) for n, track in enumerate(seen["tracks"])}
        return found | {f"tag {key}": value for key, value in seen["tags"].items()}

    def frames(self, path: Path, times: Sequence[float]) -> Sequence[Shown | None]:
        shown = _seen(path, tuple(times))["frames"]
        return [None if one is None else _array(one) for one in shown]


@cache
def _seen(path: Path, times: tuple[float, ...]) -> dict[str, Any]:
    script = Path(vlc_player.__file__)
    found: dict[str, Any] = json.loads(
        output_of(sys.executable, script, path, stdin=json.dumps(times)).splitlines()[-1]
    )
    return found


def _array(one: Sequence[Any]) -> Shown:
    width, height, content = one
    return np.frombuffer(bytes.fromhex(content), np.uint8).reshape(height, width)
