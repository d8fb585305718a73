"""What a case is, and how each codec is written again."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Make = Callable[[Path], Path]

X264 = ("output.codec=libx264", "output.preset=ultrafast")
X264_RGB = ("output.codec=libx264rgb", "output.preset=ultrafast", "output.options.crf=12")
X265 = ("output.codec=libx265", "output.preset=ultrafast", "output.crf=10")
VP9 = (
    "output.codec=libvpx-vp9",
    "output.crf=12",
    "output.options.cpu-used=8",
    "output.options.deadline=realtime",
)
AV1 = ("output.codec=libsvtav1", 'output.preset="11"', "output.crf=8")
PRORES = ("output.codec=prores_ks",)
PRORES_4444 = ("output.codec=prores_ks", "output.options.profile=4444")
FFV1 = ("output.codec=ffv1",)


@dataclass(frozen=True)
class Case:
    """A film, and how facepipe is asked to write it.

    `make` writes the film to a path that ends in `suffix`; `target` is the suffix of what facepipe
    writes, None: the same. `settings` are `key=value` as after `--set`. `limits` says for a
    property with which words facepipe announces that it is not kept; `refusal` with which words it
    may refuse the whole. `shows` names properties that the film must have. `program` is what makes
    the film where PyAV cannot.
    """

    name: str
    make: Make
    suffix: str = ".mp4"
    target: str | None = None
    settings: tuple[str, ...] = X264
    limits: Mapping[str, str] = field(default_factory=dict)
    refusal: str | None = None
    shows: tuple[str, ...] = ()
    faces: bool = False
    scale: int = 1
    program: str | None = None

    @property
    def written(self) -> str:
        """The suffix of the target."""
        return self.target or self.suffix

    @property
    def lacks(self) -> str | None:
        """The program that this machine does not have for it."""
        missing = self.program is not None and shutil.which(self.program) is None
        return self.program if missing else None
