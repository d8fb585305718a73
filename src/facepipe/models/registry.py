"""The registry of models: each with its contract, and the files of its weights."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path
from typing import Literal

from facepipe._system.files import is_there, sha256_of
from facepipe.errors import ModelError, UsageError, did_you_mean

#: What a restorer is: facepipe's own network; weights for PyTorch; an ONNX graph; another package.
Kind = Literal["own", "checkpoint", "graph", "plugin"]
#: The group of entry points by which other packages register restorers.
PLUGINS = "facepipe.restorers"
#: Suffixes of weights of others, which PyTorch saves.
CHECKPOINTS = (".pth", ".pt", ".ckpt")
#: A folder that is searched before the package, for weights under the names of the table.
WEIGHTS_VARIABLE = "FACEPIPE_WEIGHTS"


@dataclass(frozen=True)
class ModelSpec:
    """One network that ships: its contract, and the files that hold it.

    `files` are (name, sha256); the first holds the weights, a second the graph that runs them.
    Inputs are RGB canvases of CANVAS px a side in [0, 1]; so are outputs, but for the parser's,
    which are shares of the parts of a face. `gmacs` are 10^9 multiply-accumulates a face.
    """

    name: str
    summary: str
    licence: str
    files: tuple[tuple[str, str], ...] = ()
    parameters: int = 0
    gmacs: float = 0.0
    aliases: tuple[str, ...] = ()


RESTORERS: tuple[ModelSpec, ...] = (
    ModelSpec(
        name="fishsrnet",
        summary="FishSRNet guided by ParsingNet, pyramid widths; for faces of 8 to 70 px",
        licence="for research and evaluation (see the model card)",
        files=(
            (
                "fishsrnet.safetensors",
                "8cfac4e858f1872b6ec01f32777a970e27785885a011f2d9a7e1f660391c5c33",
            ),
            ("fishsrnet.onnx", "d9d71f7f9a8e9075f5472a2e9dba6c79524503b7535d573ccca86e3ec7d9f068"),
        ),
        parameters=3_251_818,
        gmacs=1.20,
        aliases=("fishsrnet@psnr",),
    ),
    ModelSpec(
        name="fishsrnet@natural",
        summary="the same network, trained further for the eye: sharper, and more of it invented",
        licence="for research and evaluation (see the model card)",
        files=(
            (
                "fishsrnet-natural.safetensors",
                "a9e2b77f6e1eb04cf9f5b52f50447176910b67c167192e3b75040f8d5df82081",
            ),
            (
                "fishsrnet-natural.onnx",
                "18ff85b8acfc0485e6a2538deaf7589af83618a07d3c2e0f0bd5460c496db45b",
            ),
        ),
        parameters=3_251_818,
        gmacs=1.20,
    ),
    ModelSpec(
        name="bicubic",
        summary="adds nothing: the enlargement that every gain is measured against",
        licence="none needed",
    ),
)

#: The guide of the default restorer alone: its graph points into the same weights.
PARSER = ModelSpec(
    name="parsingnet",
    summary="ParsingNet: the parts of a face, by which doubtful ones are judged",
    licence=RESTORERS[0].licence,
    files=(
        RESTORERS[0].files[0],
        (
            "fishsrnet-parse.onnx",
            "dbf3c513bab38d0716144e2efcb2170a75fa1aa30be6de559f67e2b0669e3e46",
        ),
    ),
    parameters=544_896,
    gmacs=0.17,
)


@dataclass(frozen=True)
class System:
    """A network of the comparison (`facepipe evaluate faces`), of which no weights ship.

    Its input is a face of 16x16 px, but for `fishsrnet-large`, which takes canvases. `gmacs` are
    10^9 multiply-accumulates a face. `slides` are the PSNR and SSIM that the paper's slides report,
    on other faces than ours.
    """

    name: str
    source: str
    parameters: int
    gmacs: float
    slides: tuple[float, float] | None = None


#: Row [26] of the paper's slides (24.71 dB, .8587) is not among them: they do not say what it is.
SYSTEMS: tuple[System, ...] = (
    System("srcnn", "Dong et al. 2016", 69_251, 1.13, (23.18, 0.8301)),
    System("vdsr", "Kim et al. 2016", 668_227, 10.93, (22.60, 0.8164)),
    System("urdgn", "Yu and Porikli 2016, the generator", 903_971, 0.90, (23.42, 0.8375)),
    System("fsrnet", "Chen et al. 2018", 3_664_590, 13.84, (25.08, 0.8670)),
    System("post-upsampling", "the paper's ablation", 1_776_067, 1.16, (25.12, 0.8705)),
    System("fishsrnet-residual", "the paper's ablation", 2_748_227, 9.77, (25.26, 0.8745)),
    System("fishsrnet-msab", "the paper's ablation", 2_957_027, 10.66, (25.39, 0.8773)),
    System("fishsrnet-parsing", "the paper's whole", 3_550_884, 10.81, (25.34, 0.8758)),
    System("sparnet", "in the manner of Chen et al. 2020", 6_170_899, 4.13),
    System("fishsrnet-large", "the default's larger sister, for GPUs", 9_297_408, 4.99),
)


@dataclass(frozen=True)
class ModelFiles:
    """The files of one model on this machine, verified by sha256 where it ships."""

    spec: ModelSpec
    paths: tuple[Path, ...]
    sha256: tuple[str, ...]
    kind: Kind = "own"


def find_model(name: str) -> ModelFiles:
    """The files of the restorer `name`: of the table, of another package, or a file of weights.

    A name of the table resolves in the folder that FACEPIPE_WEIGHTS names, else in the package,
    and must match its sha256. A path is taken as it is: facepipe's own `.safetensors` with its
    graph (`.onnx`) next to it; weights of others as `.pth`, `.pt`, `.ckpt` or `.safetensors`; a
    graph of others (`.onnx`) with its contract (`.toml`) next to it.

    Raises UsageError for an unknown name, ModelError for missing or damaged files.
    """
    path, suffix = Path(name), Path(name).suffix.lower()
    if suffix == ".safetensors":
        return _own_model(path) if is_own(path) else _model_of_others(path, "checkpoint")
    if suffix in CHECKPOINTS:
        return _model_of_others(path, "checkpoint")
    if suffix == ".onnx":
        return _model_of_others(path, "graph")
    spec = next((spec for spec in RESTORERS if name in (spec.name, *spec.aliases)), None)
    if spec is not None:
        return verified(spec)
    if name in (plugins := sorted({point.name for point in entry_points(group=PLUGINS)})):
        return _plugin(name)
    own = [name for spec in RESTORERS for name in (spec.name, *spec.aliases)]
    raise UsageError(
        f"unknown restorer {name!r}; there are {', '.join([*own, *plugins])}, or a file: "
        f".safetensors, .pth, .pt, .ckpt or .onnx{did_you_mean(name, (*own, *plugins))}"
    )


def is_own(weights: Path) -> bool:
    """Whether a `.safetensors` is of facepipe: its graph lies beside it, or its header says so."""
    if is_there(weights.with_suffix(".onnx")):
        return True
    try:
        with weights.open("rb") as file:
            header = json.loads(file.read(min(int.from_bytes(file.read(8), "little"), 2**24)))
        return "network" in header.get("__metadata__", {})
    except (OSError, ValueError, AttributeError, TypeError, RecursionError):
        return True  # not there, or damaged: said where it is opened


def _model_of_others(path: Path, kind: Kind) -> ModelFiles:
    """A file that the user has; for a graph, its contract too, and its weights beside it."""
    if not is_there(path) or not path.is_file():
        raise ModelError(f"{path}: no such file of weights")
    paths = [path]
    if kind == "graph":
        from facepipe.models.restorers.graph import contract_path, weights_beside

        contract = contract_path(path)
        paths += [*([contract] if is_there(contract) else []), *weights_beside(path)]
    spec = ModelSpec(path.stem, "weights of others", "as its makers say")
    return ModelFiles(spec, tuple(paths), tuple(map(sha256_of, paths)), kind)


def _plugin(name: str) -> ModelFiles:
    from facepipe.models.restorers.plugins import plugin_files

    paths = plugin_files(name)
    spec = ModelSpec(name, "of another package", "as its makers say")
    return ModelFiles(spec, paths, tuple(map(sha256_of, paths)), "plugin")


def verified(spec: ModelSpec) -> ModelFiles:
    """The files of `spec`. Raises ModelError for missing or damaged ones."""
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
        if not is_there(path) or not path.is_file():
            raise ModelError(
                f"{path}: no such file; facepipe's own weights are a .safetensors with its .onnx"
            )
    spec = ModelSpec(weights.stem, "own weights", "as its makers say")
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
