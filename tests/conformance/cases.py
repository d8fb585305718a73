"""What a case is, and how each codec is written again."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Make = Callable[[Path], Path]

X264 = ("output.codec=libx264", "output.preset=superfast", "output.options.qp=0")
X264_RGB = ("output.codec=libx264rgb", "output.preset=superfast", "output.options.qp=0")
X265 = ("output.codec=libx265", "output.preset=ultrafast", "output.options.x265-params=lossless=1")
VP9 = (
    "output.codec=libvpx-vp9",
    "output.crf=0",
    "output.options.lossless=1",
    "output.options.cpu-used=8",
    "output.options.deadline=realtime",
)
AV1 = ("output.codec=libsvtav1", 'output.preset="11"', "output.crf=8")
PRORES = ("output.codec=prores_ks",)
PRORES_4444 = ("output.codec=prores_ks", "output.options.profile=4444")
FFV1 = ("output.codec=ffv1",)
_LOSSLESS = (X264, X264_RGB, X265, VP9, FFV1)
#: How far pictures may be off that are encoded with loss, as a mean of code values of 255.
LOSS = 5.0


@dataclass(frozen=True)
class Case:
    """A film, and how facepipe is asked to write it.

    `make` writes the film to a path that ends in `suffix`; `target` is the suffix of what facepipe
    writes, None: the same. `settings` are `key=value` as after `--set`; `lossy` says that the
    encoder loses something even where it is asked not to. `limits` gives for a property the words
    with which facepipe announces that it is not kept, `refusal` those with which it may begin to
    refuse the whole. `shows` names properties that the film must have. `program` is what makes the
    film where PyAV cannot.
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
    lossy: bool = False
    program: str | None = None

    @property
    def loss(self) -> float:
        """How far pictures may be off: not at all where the encoder loses nothing."""
        exact = self.settings in _LOSSLESS and not (self.lossy or self.faces or self.scale > 1)
        return 0.0 if exact else LOSS

    @property
    def written(self) -> str:
        """The suffix of the target."""
        return self.target or self.suffix

    @property
    def lacks(self) -> str | None:
        """The program that this machine does not have for it."""
        missing = self.program is not None and shutil.which(self.program) is None
        return self.program if missing else None
