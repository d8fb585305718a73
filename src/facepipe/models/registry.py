"""Every model that facepipe knows by name, with its contract beside its weights."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from facepipe.errors import ModelError, UsageError

#: A folder that is searched before the package, for weights under the names of the table.
WEIGHTS_VARIABLE = "FACEPIPE_WEIGHTS"


@dataclass(frozen=True)
class ModelSpec:
    """One restorer: what it takes, what it gives, and the files that hold it.

    `files` are (name, sha256); the first holds the weights, a second the graph that runs them.
    Inputs and outputs are RGB canvases of `canvas` px a side in [0, 1].
    """

    name: str
    summary: str
    canvas: int
    licence: str
    files: tuple[tuple[str, str], ...] = ()
    parameters: int = 0
    gmacs: float = 0.0


RESTORERS: tuple[ModelSpec, ...] = (
    ModelSpec(
        name="fishsrnet",
        summary="FishSRNet guided by ParsingNet, pyramid widths; for faces of 8 to 70 px",
        canvas=128,
        licence="for research and evaluation (see the model card)",
        files=(
            (
                "fishsrnet.safetensors",
                "6dcce9fae60b8f529f1b38cf5cbbe3484839f81d92f30e120581a4ebaa4981f3",
            ),
            ("fishsrnet.onnx", "96325ed92d5ef542d64457b5ffd2065284c007ed3943bb68c4ae8f53434c0006"),
        ),
        parameters=3_273_234,
        gmacs=1.18,
    ),
    ModelSpec(
        name="bicubic",
        summary="adds nothing: the enlargement that every gain is measured against",
        canvas=128,
        licence="none needed",
    ),
)


@dataclass(frozen=True)
class ModelFiles:
    """The files of one model as found on this machine, verified."""

    spec: ModelSpec
    paths: tuple[Path, ...]
    sha256: tuple[str, ...]


def find_model(name: str) -> ModelFiles:
    """The files of the restorer `name`, or of the `.safetensors` file that `name` points to.

    A name of the table resolves in the folder that FACEPIPE_WEIGHTS names, else in the package,
    and must match its sha256; a path is taken as it is, with its graph (`.onnx`) beside it.
    Raises UsageError for an unknown name, ModelError for missing or damaged files.
    """
    path = Path(name)
    if path.suffix == ".safetensors":
        return _own_model(path)
    spec = next((spec for spec in RESTORERS if spec.name == name), None)
    if spec is None:
        known = ", ".join(spec.name for spec in RESTORERS)
        raise UsageError(f"unknown restorer {name!r}; there are {known}, or a .safetensors file")
    paths = tuple(_resolve(file) for file, _ in spec.files)
    for path, (_, expected) in zip(paths, spec.files, strict=True):
        found = sha256_of(path)
        if found != expected:
            raise ModelError(
                f"{path}: damaged or another version: sha256 is {found[:12]}…, "
                f"{expected[:12]}… was expected"
            )
    return ModelFiles(spec, paths, tuple(expected for _, expected in spec.files))


def _own_model(weights: Path) -> ModelFiles:
    paths = (weights, weights.with_suffix(".onnx"))
    for path in paths:
        if not path.is_file():
            raise ModelError(f"{path}: no such file; own weights are a .safetensors with its .onnx")
    spec = ModelSpec(weights.stem, "own weights", 128, "as its makers say")
    return ModelFiles(spec, paths, tuple(sha256_of(path) for path in paths))


def _resolve(file: str) -> Path:
    folder = os.environ.get(WEIGHTS_VARIABLE)
    if folder:
        candidate = Path(folder) / file
        if candidate.is_file():
            return candidate
    packaged = Path(str(files("facepipe.models").joinpath("weights", file)))
    if not packaged.is_file():
        raise ModelError(
            f"{file}: these weights are missing from the installation; install facepipe again, "
            f"or name a folder that holds them in {WEIGHTS_VARIABLE}"
        )
    return packaged


@cache
def _digest(path: Path, _size: int, _modified: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of(path: Path) -> str:
    """The file's SHA-256 as 64 hexadecimal digits; remembered while the file does not change."""
    status = path.stat()
    return _digest(path.resolve(), status.st_size, status.st_mtime_ns)
