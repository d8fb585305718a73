"""Every fuzz harness on its seeds, intact and damaged."""

from __future__ import annotations

import random
from types import ModuleType

import pytest

from fuzz import (
    fuzz_analysis,
    fuzz_archive,
    fuzz_bitstream,
    fuzz_checkpoint,
    fuzz_image,
    fuzz_manifest,
    fuzz_settings,
    fuzz_video,
)

HARNESSES = (
    *(fuzz_settings, fuzz_analysis, fuzz_manifest, fuzz_archive),
    *(fuzz_video, fuzz_image, fuzz_checkpoint, fuzz_bitstream),
)
SEEDS = [
    pytest.param(harness, data, id=f"{harness.__name__}-{name}")
    for harness in HARNESSES
    for name, data in harness.seeds().items()
]


@pytest.mark.parametrize(("harness", "data"), SEEDS)
def test_a_seed_intact_and_damaged(harness: ModuleType, data: bytes) -> None:
    harness.fuzz_one(data)
    rng = random.Random(len(data))
    for _ in range(12):
        damaged = bytearray(data)
        for _ in range(rng.randrange(1, 5)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        harness.fuzz_one(bytes(damaged[: rng.randrange(len(damaged) + 1)]))
        harness.fuzz_one(bytes(damaged))


@pytest.mark.parametrize("harness", HARNESSES, ids=lambda harness: harness.__name__)
def test_empty_input(harness: ModuleType) -> None:
    harness.fuzz_one(b"")


def test_seeds_are_valid() -> None:
    """A harness whose seeds are refused would only test the refusal."""
    for data in fuzz_analysis.seeds().values():
        found = fuzz_analysis.read(data)
        assert found.source_sha256 == "a" * 64
    for data in fuzz_video.seeds().values():
        assert fuzz_video.frames_of(data) >= 2
