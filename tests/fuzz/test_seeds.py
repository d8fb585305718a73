"""Every fuzz harness on its seeds, whole and damaged, so that none of them rots."""

from __future__ import annotations

import random
from types import ModuleType

import pytest

from fuzz import (
    fuzz_analysis,
    fuzz_archive,
    fuzz_bitstream,
    fuzz_film,
    fuzz_kept,
    fuzz_manifest,
    fuzz_picture,
    fuzz_settings,
)

HARNESSES = (
    *(fuzz_settings, fuzz_analysis, fuzz_manifest, fuzz_archive),
    *(fuzz_film, fuzz_picture, fuzz_kept, fuzz_bitstream),
)
SEEDS = [
    pytest.param(harness, data, id=f"{harness.__name__}-{name}")
    for harness in HARNESSES
    for name, data in harness.seeds().items()
]


@pytest.mark.parametrize(("harness", "data"), SEEDS)
def test_a_seed_and_what_is_left_of_it(harness: ModuleType, data: bytes) -> None:
    harness.try_one(data)
    rng = random.Random(len(data))
    for _ in range(12):
        damaged = bytearray(data)
        for _ in range(rng.randrange(1, 5)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        harness.try_one(bytes(damaged[: rng.randrange(len(damaged) + 1)]))
        harness.try_one(bytes(damaged))


@pytest.mark.parametrize("harness", HARNESSES, ids=lambda harness: harness.__name__)
def test_nothing_at_all(harness: ModuleType) -> None:
    harness.try_one(b"")


def test_seeds_are_what_they_claim() -> None:
    """A harness whose seeds are refused would test the refusal alone."""
    for data in fuzz_analysis.seeds().values():
        found = fuzz_analysis.read(data)
        assert found.source_sha256 == "a" * 64
    for data in fuzz_film.seeds().values():
        assert fuzz_film.frames_of(data) >= 2
