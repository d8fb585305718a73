"""Frames that are kept on disk: what the disk refuses, and what goes when reading ends."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from facepipe.configs.settings import Settings
from facepipe.errors import OutputError, UsageError
from facepipe.pipeline import feed
from facepipe.pipeline.feed import FeedSettings, FrameFeed
from facepipe.pipeline.spool import Spool, SpoolSettings


@pytest.fixture
def full_disk() -> Iterator[None]:
    """Files may hold 1000 bytes."""
    if sys.platform == "win32":
        pytest.skip("needs limits of files")
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_is_named_when_frames_are_read_and_ends_no_close(tmp_path: Path) -> None:
    spool = Spool(SpoolSettings(tmp_path))
    spool.append([np.zeros(3000, np.uint8)])  # waits in a buffer
    with pytest.raises(OutputError, match="name a folder with more room with spool="):
        spool.read(0)
    spool.close()
    with pytest.raises(UsageError, match="was closed"):
        spool.read(0)


def test_what_was_kept_goes_when_the_frames_break_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Spool] = []

    class Noted(Spool):
        def __init__(self, settings: SpoolSettings) -> None:
            super().__init__(settings)
            made.append(self)

    def broken() -> Iterator[NDArray[np.uint8]]:
        yield np.zeros((64, 64, 3), np.uint8)
        raise ConnectionError("the camera is gone")

    monkeypatch.setattr(feed, "Spool", Noted)
    how = FeedSettings("rgb", Fraction(25), SpoolSettings(tmp_path))
    frames = FrameFeed(broken(), Settings(), how)
    with pytest.raises(ConnectionError, match="the camera is gone"):
        _ = frames.info
    frames.close()
    with pytest.raises(UsageError, match="was closed"):
        made[0].read(0)
