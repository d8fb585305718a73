"""The results of the commands that prove what was done, and of `settings`; see results.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from facepipe.pipeline.reproduce import Reproduction
    from facepipe.pipeline.verify import Verification


@dataclass(frozen=True)
class CheckResult:
    """One thing that `verify` looked at: what, whether it holds, and the finding in words."""

    what: str
    state: Literal["ok", "failed", "unchecked"]
    words: str


@dataclass(frozen=True)
class VerificationResult:
    """What `verify` found of an output or a batch's folder."""

    path: Path
    verdict: Literal["intact", "changed", "nothing to check"]
    checks: tuple[CheckResult, ...]

    @classmethod
    def of(cls, found: Verification) -> VerificationResult:
        """The result of all checks."""
        checks = tuple(CheckResult(one.what, one.state, one.words) for one in found.checks)
        return cls(found.path, found.verdict, checks)


@dataclass(frozen=True)
class ReproductionResult:
    """How the frames of an output compare with those that `reproduce` made again.

    `first` is the number of the first frame that differs, from 0, None: none does. `largest` is
    the largest difference, in code values. `same_file`: all bytes are the same.
    """

    output: Path
    is_same: bool
    same_file: bool
    frames: int
    differing: int
    first: int | None
    largest: int
    notes: tuple[str, ...]

    @classmethod
    def of(cls, found: Reproduction) -> ReproductionResult:
        """The result of a comparison."""
        return cls(
            output=found.output,
            is_same=found.is_same,
            same_file=found.same_file,
            frames=found.frames,
            differing=found.differing,
            first=found.first,
            largest=found.largest,
            notes=found.notes,
        )


@dataclass(frozen=True)
class SettingsResult:
    """All settings that `settings` printed, by section, and as TOML."""

    settings: Mapping[str, Any]
    toml: str
