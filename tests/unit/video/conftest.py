"""Renders videos untouched."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest

from facepipe.datatypes import VideoInfo
from facepipe.video import EncodeSettings, mux, probe
from media.video_checks import LOSSLESS, Render, at_keyframes, rendered


@pytest.fixture
def render(tmp_path: Path) -> Render:
    """Decode, encode and mux a video untouched; what probe says of the result."""

    def run(
        source: Path,
        target: Path,
        settings: EncodeSettings = LOSSLESS,
        metadata: dict[str, str] | None = None,
        leave_out: Collection[int] = (),
    ) -> VideoInfo:
        info = probe(source)
        parts = [
            rendered(info, span, tmp_path / f"part{span.index}.nut", settings)
            for span in at_keyframes(info)
        ]
        mux(
            parts,
            source,
            info,
            target,
            settings=settings,
            metadata=metadata or {},
            leave_out=leave_out,
        )
        return probe(target)

    return run
