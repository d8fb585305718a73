"""facepipe makes the tiny faces of a video clear and leaves the rest of the video as it is.

    from facepipe import enhance

    if __name__ == "__main__":
        enhance("input.mp4", "out.mp4")

Frames that a program has already go through `FaceEnhancer`.

Enhanced faces are plausible inventions and no evidence of what a person looked like.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING

from facepipe._version import __version__
from facepipe.errors import (
    FacepipeError,
    InputError,
    MediaError,
    ModelError,
    OutOfMemoryError,
    OutputError,
    UsageError,
    WorkerError,
)

if TYPE_CHECKING:
    from facepipe.configs.settings import Settings, load_settings
    from facepipe.datatypes import Analysis, Track
    from facepipe.pipeline.api import analyze, enhance, render
    from facepipe.pipeline.enhancer import FaceEnhancer
    from facepipe.pipeline.passes import Event

__all__ = [
    "Analysis",
    "Event",
    "FaceEnhancer",
    "FacepipeError",
    "InputError",
    "MediaError",
    "ModelError",
    "OutOfMemoryError",
    "OutputError",
    "Settings",
    "Track",
    "UsageError",
    "WorkerError",
    "__version__",
    "analyze",
    "enhance",
    "load_settings",
    "render",
]

logging.getLogger(__name__).addHandler(logging.NullHandler())

# Loaded when first used: a program that only catches errors need not import OpenCV and PyAV.
_LAZY = {
    "Analysis": "facepipe.datatypes",
    "Event": "facepipe.pipeline.passes",
    "FaceEnhancer": "facepipe.pipeline.enhancer",
    "Settings": "facepipe.configs.settings",
    "Track": "facepipe.datatypes",
    "analyze": "facepipe.pipeline.api",
    "enhance": "facepipe.pipeline.api",
    "load_settings": "facepipe.configs.settings",
    "render": "facepipe.pipeline.api",
}


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'facepipe' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
