"""Restorers: networks that restore aligned canvases."""

from __future__ import annotations

from typing import Protocol

from facepipe.datatypes import Crops, Restored
from facepipe.models.registry import find_model
from facepipe.models.restorers.bicubic import BicubicRestorer
from facepipe.models.restorers.fishsrnet import FishSRNetRestorer
from facepipe.models.runtime import Device, Runtime, create_runner

__all__ = ["Restorer", "create_restorer"]


class Restorer(Protocol):
    """Restores aligned canvases; `description` says what runs it, and where."""

    description: str

    def __call__(self, crops: Crops) -> Restored:
        """Restore all N canvases at once; N may be 0."""
        ...


def create_restorer(
    name: str,
    *,
    device: Device = "auto",
    runtime: Runtime = "auto",
    threads: int = 1,
    mirrored: bool = False,
) -> Restorer:
    """Load the restorer `name` (a name of the registry or a `.safetensors` file).

    `mirrored` is as in FishSRNetRestorer.

    Raises UsageError for an unknown name or an absent device, ModelError for damaged weights.
    """
    if name == "bicubic":
        return BicubicRestorer()
    files = find_model(name)
    runner = create_runner(files, device=device, runtime=runtime, threads=threads)
    return FishSRNetRestorer(runner, mirrored=mirrored)
