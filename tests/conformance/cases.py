"""What a case is, and how each codec is written again."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

Make = Callable[[Path], Path]

_ENCODED = "output.copy_unchanged=false"  # what would be copied is encoded all the same
X264 = ("output.codec=libx264", "output.preset=superfast", "output.options.qp=0", _ENCODED)
X264_RGB = ("output.codec=libx264rgb", *X264[1:])
X265 = (
    "output.codec=libx265",
    "output.preset=ultrafast",
    "output.options.x265-params=lossless=1",
    _ENCODED,
)
VP9 = (
    "output.codec=libvpx-vp9",
    "output.crf=0",
    "output.options.lossless=1",
    "output.options.cpu-used=8",
    "output.options.deadline=realtime",
    _ENCODED,
)
AV1 = ("output.codec=libsvtav1", 'output.preset="11"', "output.crf=8", _ENCODED)
PRORES = ("output.codec=prores_ks", _ENCODED)
PRORES_4444 = ("output.codec=prores_ks", "output.options.profile=4444", _ENCODED)
FFV1 = ("output.codec=ffv1", _ENCODED)
#: What nobody says anything about: the source's codec, and copies of what does not change.
DEFAULT = ("output.speed=fast",)
_LOSSLESS = (X264, X264_RGB, X265, VP9, FFV1)
_ALLOWED = "output.allow_loss=true"
#: How far pictures may be off that are encoded with loss, as a mean of code values of 255.
LOSS = 5.0


@dataclass(frozen=True)
class Case:
    """A video, and how facepipe is asked to write it.

    `make` writes the video to a path that ends in `suffix`; `target` is the suffix of what facepipe
    writes, None: the same. `settings` are `key=value` as after `--set`; `lossy` says that the
    encoder loses something even where it is asked not to. `limits` gives for a property the words
    with which facepipe announces that it is not kept, `refusal` those with which it may begin to
    refuse the whole. `shows` names properties that the video must have. `program` is what makes the
    video where PyAV cannot. `like` makes the video that the target is held against, where the
    source itself does not show it; `tells` are words that a warning must have. `copied` says how
    many of the source's packets must be in the target.
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
    copied: Literal["", "some", "all"] = ""
    program: str | None = None
    like: Make | None = None
    tells: str | None = None

    @property
    def loss(self) -> float:
        """How far pictures may be off: not at all where the encoder loses nothing."""
        kept = tuple(one for one in self.settings if one != _ALLOWED)
        exact = self.copied == "all" or kept in _LOSSLESS
        return LOSS if self.lossy or self.faces or self.scale > 1 or not exact else 0.0

    @property
    def written(self) -> str:
        """The suffix of the target."""
        return self.target or self.suffix

    @property
    def lacks(self) -> str | None:
        """The program that this machine does not have for it."""
        missing = self.program is not None and shutil.which(self.program) is None
        return self.program if missing else None


def refused(case: Case, words: str, **lost: str) -> list[Case]:
    """The case twice: refused with `words`, and gone on with, which must tell what is `lost`.

    Spaces in properties' names are underscores here.
    """
    limits = {name.replace("_", " "): words for name, words in lost.items()}
    allowed = replace(
        case,
        name=f"{case.name} with --allow-loss",
        settings=(*case.settings, _ALLOWED),
        limits={**case.limits, **limits},
    )
    return [replace(case, refusal=words), allowed]
