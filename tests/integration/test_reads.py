"""How often a run opens its source, and how many times its size it reads."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from facepipe import enhance
from facepipe.configs.settings import load_settings
from facepipe.video import source_cache
from facepipe.workers.local import LocalExecutor
from media import portraits, synthetic
from media.reads import Reads, counted

MOST_OPENS, MOST_SIZES = 6, 2


def run(source: Path, target: Path, *assignments: str) -> Reads:
    """What the driver reads of a source; the frames are decoded by a worker of its own."""
    settings = load_settings(assignments=["output.preset=ultrafast", *assignments])
    with LocalExecutor(1, isolated=True) as workers, counted(source) as reads:
        enhance(source, target, settings, executor=workers)
    sys.stdout.write(f"{reads}, for {target.name}\n")  # pytest -s shows it
    return reads


def made(make: Callable[..., Path], path: Path, **how: object) -> Path:
    """A video with sound and subtitles."""
    return make(path, subtitle="mov_text" if path.suffix == ".mp4" else "srt", **how)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize(
    "make", [synthetic.video, portraits.video, portraits.visit], ids=["copied", "rendered", "both"]
)
def test_a_short_video_is_read_once(make: Callable[..., Path], suffix: str, tmp_path: Path) -> None:
    source = made(make, tmp_path / f"in{suffix}")
    for other in (".mp4", ".mkv"):
        reads = run(source, tmp_path / f"out{other}")
        assert (reads.opens, reads.sizes) == (1, 1), str(reads)


@pytest.mark.parametrize("copied", [True, False])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_long_video_is_read_twice(
    suffix: str, copied: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is larger than the cache: once to probe and digest it, once to copy its streams."""
    options = {"crf": "1", "g": "25"}
    how = {"frames": 500, "size": (128, 96), "audio": 1, "audio_rate": 96000}
    source = made(synthetic.video, tmp_path / f"in{suffix}", options=options, **how)
    # A block of 64 KiB holds as much of it as one of a mebibyte does of a video of three minutes.
    monkeypatch.setattr(source_cache, "BLOCK_BYTES", 2**16)
    assert source.stat().st_size > 48 * source_cache.BLOCK_BYTES
    for other in (".mp4", ".mkv"):
        reads = run(source, tmp_path / f"out{other}", f"output.copy_unchanged={copied}")
        assert reads.opens <= MOST_OPENS, str(reads)
        assert reads.sizes <= MOST_SIZES, str(reads)
