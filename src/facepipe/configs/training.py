"""The settings of one training run, read from a TOML recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from facepipe._system.files import is_there
from facepipe.configs.fields import refusal
from facepipe.configs.toml import read_toml
from facepipe.errors import OutputError, UsageError

_RECIPES = Path(__file__).with_name("recipes")

Network = Literal[
    "fishsrnet",
    "fishsrnet-merged",
    "fishsrnet-large",
    "parsingnet",
    "parsing-teacher",
    "paper-parsingnet",
    "srcnn",
    "vdsr",
    "urdgn",
    "fsrnet",
    "sparnet",
    "post-upsampling",
    "fishsrnet-residual",
    "fishsrnet-msab",
    "fishsrnet-parsing",
]
Fraction = Annotated[float, Field(ge=0, le=1)]


class TrainSettings(BaseModel):
    """What `facepipe train` needs to know. Unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: Network
    width: int = Field(64, gt=0, multiple_of=4, description="channels of a network of the papers")
    faces: tuple[Path, ...] = Field(min_length=1, description="folders or zips of aligned faces")
    masks: Path | None = Field(None, description="folder or zip of parsing masks, same names")
    parsing: Path | None = Field(None, description="ParsingNet weights that guide the network")
    start_from: Path | None = Field(None, description="weights to begin with instead of chance")
    grow_from: Path | None = Field(
        None, description="weights of another form of the network, for the layers that both have"
    )
    teacher: Path | None = Field(
        None, description="weights of a fishsrnet that each stage is fitted to, instead of faces"
    )
    out: Path = Field(description="folder for checkpoints, log, sample sheets and weights")
    steps: int = Field(8000, gt=0)
    petamacs: float | None = Field(
        None, gt=0, description="10^15 multiply-accumulates to spend, instead of steps"
    )
    batch: int = Field(32, gt=0)
    optimizer: Literal["adam", "muon"] = "adam"
    learning_rate: float = Field(1e-3, gt=0)
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup_steps: int = Field(100, ge=0)
    gradient_clip: float = Field(0.5, gt=0)
    ema: Fraction = Field(0.998, description="longest memory of the averaged weights")
    loss: Literal["l1", "psnr"] = "l1"
    fourier_weight: float = Field(0.01, ge=0)
    grid_weight: float = Field(0.0, ge=0, description="against an error that repeats every 4 px")
    perceptual_weight: float = Field(0.0, ge=0, description="of VGG16's features")
    adversarial_weight: float = Field(0.0, ge=0, description="of a discriminator's verdict")
    clean: Fraction = Field(0.0, description="share of inputs that are not degraded")
    exact_bicubic: Fraction = Field(0.4, description="share of plain 16 px bicubic inputs")
    crisp: Fraction = Field(0.0, description="share of crisp and nearly crisp inputs")
    crisp_large: Fraction = Field(0.5, description="share of these with 48 px and more")
    sequences: Fraction = Field(
        0.0, description="share of drawn inputs with their neighbour frames"
    )
    reuse: int = Field(1, gt=0, description="times that a degraded face is used, varied a little")
    compiled: bool = Field(False, description="compile the network: slow to start, then faster")
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    loader_workers: int = Field(1, ge=0)
    threads: int | None = Field(None, gt=0)
    checkpoint_seconds: float = Field(180, gt=0)
    log_steps: int = Field(50, gt=0)
    sheet_steps: int = Field(1000, gt=0)
    seed: int = 0

    def check_workers(self, workers: int) -> None:
        """Raise UsageError where a batch cannot be dealt out to so many workers evenly."""
        if self.batch % workers:
            raise UsageError(f"batch {self.batch} cannot be shared by {workers} workers evenly")


def load_recipe(path: Path) -> TrainSettings:
    """Read the settings in a TOML recipe. Raises UsageError that names what is wrong with it."""
    try:
        return TrainSettings.model_validate(read_toml(path, "recipe"))
    except ValidationError as error:
        raise UsageError(refusal(error, TrainSettings, lambda key: f"{path}: {key}")) from error


def shipped_recipes() -> dict[str, Path]:
    """Find the recipes that ship, by name: "fishsrnet", "comparison/srcnn"."""
    return {
        path.relative_to(_RECIPES).with_suffix("").as_posix(): path
        for path in sorted(_RECIPES.rglob("*.toml"))
    }


def find_recipe(name: str) -> Path:
    """Find a recipe: a file of that name, or else one that ships, with or without ".toml".

    Raises UsageError where there is neither.
    """
    path = Path(name)
    if is_there(path) and not path.is_dir():
        return path
    return _shipped(name)


def copy_recipe(name: str, folder: Path) -> Path:
    """Copy a recipe that ships into `folder` and return the copy; an existing file is not replaced.

    Raises UsageError where none has that name, OutputError where it cannot be written.
    """
    shipped = _shipped(name)
    target = folder / shipped.name
    try:
        with target.open("xb") as file:
            file.write(shipped.read_bytes())
    except FileExistsError as error:
        raise OutputError(f"{target}: exists already, and is not replaced") from error
    except OSError as error:
        raise OutputError(f"{target}: cannot be written ({error.strerror or error})") from error
    return target


def _shipped(name: str) -> Path:
    try:
        return shipped_recipes()[name.removesuffix(".toml")]
    except KeyError:
        raise UsageError(
            f"{name}: no such recipe; facepipe train --list names those that ship"
        ) from None
