"""Restorers: networks that restore aligned canvases, each by its contract."""

from __future__ import annotations

from typing import Protocol

from facepipe.datatypes import Crops, Restored
from facepipe.errors import UsageError
from facepipe.models.contract import Contract
from facepipe.models.registry import ModelFiles, find_model
from facepipe.models.restorers import fishsrnet
from facepipe.models.restorers.bicubic import BicubicRestorer
from facepipe.models.restorers.network import Network, NetworkRestorer
from facepipe.models.runtime import Device, Runtime, choose, choose_graph, create_runner

__all__ = [
    "Contract",
    "Network",
    "Restorer",
    "choose_for",
    "contract_of",
    "create_restorer",
    "describe",
    "network_bytes",
]

#: Memory that a worker takes for a network of others besides its weights, bytes: PyTorch with
#: spandrel, and what a network needs for a canvas of 512 px.
_PYTORCH_BYTES, _CANVAS_BYTES = 500 * 2**20, 700 * 2**20


class Restorer(Protocol):
    """Restores aligned canvases by its contract; `description` says what runs it, and where."""

    description: str

    @property
    def contract(self) -> Contract:
        """What it takes; the caller crops faces as it says."""
        ...

    def __call__(self, crops: Crops) -> Restored:
        """Restore all N canvases at once; N may be 0."""
        ...


def contract_of(files: ModelFiles) -> Contract:
    """The contract of a restorer. Files of others are read for it: ModelError as in loading."""
    return describe(files)[1]


def describe(files: ModelFiles) -> tuple[str, Contract]:
    """What a restorer is, in a word or two, and its contract. Errors: as `contract_of`."""
    match files.kind:
        case "checkpoint":
            from facepipe.models.restorers.checkpoint import checkpoint_contract

            return checkpoint_contract(files.paths[0])
        case "graph":
            from facepipe.models.restorers.graph import graph_contract

            return "ONNX", graph_contract(files.paths[0])
        case "plugin":
            from facepipe.models.restorers.plugins import load_plugin

            return "plug-in", load_plugin(files.spec.name).contract
        case "own":
            if files.spec.name == "bicubic":
                return "bicubic", BicubicRestorer.contract
            return "FishSRNet", fishsrnet.CONTRACT


def choose_for(files: ModelFiles, device: Device, runtime: Runtime) -> tuple[str, str]:
    """The device and the runtime that a restorer runs on, as asked for or the best for it.

    Raises UsageError where these are not there, or do not run it.
    """
    match files.kind:
        case "checkpoint":
            if runtime not in ("auto", "torch"):
                raise UsageError(
                    f"{files.paths[0].name} runs in PyTorch; runtime {runtime} was asked for"
                )
            return choose(device, "torch")
        case "graph":
            return choose_graph(device, runtime)
        case "plugin":
            return device, files.spec.summary
        case "own":
            return choose(device, runtime)


def network_bytes(files: ModelFiles) -> int:
    """Estimate the memory that a network of others takes in each worker, bytes; own ones: 0.

    That of facepipe's own networks is in `worker_bytes`.
    """
    if files.kind not in ("checkpoint", "graph"):
        return 0
    weights = sum(path.stat().st_size for path in files.paths)
    canvases = _CANVAS_BYTES * contract_of(files).canvas ** 2 // 512**2
    if files.kind == "graph":
        return weights + canvases
    return _PYTORCH_BYTES + 2 * weights + canvases  # while it loads, they are there twice


def create_restorer(
    name: str,
    *,
    device: Device = "auto",
    runtime: Runtime = "auto",
    threads: int = 1,
    mirrored: bool = False,
) -> Restorer:
    """Load the restorer `name`: a name or a file, as in `find_model`.

    `mirrored` is as in NetworkRestorer.

    Raises UsageError for an unknown name or an absent device, ModelError for damaged weights.
    """
    if name == "bicubic":
        return BicubicRestorer()
    files = find_model(name)
    network, contract = _network(files, device=device, runtime=runtime, threads=threads)
    return NetworkRestorer(network, contract, mirrored=mirrored)


def _network(
    files: ModelFiles, *, device: Device, runtime: Runtime, threads: int
) -> tuple[Network, Contract]:
    """What runs a restorer's network, and its contract."""
    match files.kind:
        case "checkpoint":
            from facepipe.models.restorers.checkpoint import CheckpointNetwork

            loaded = CheckpointNetwork(
                files.paths[0], device=device, runtime=runtime, threads=threads
            )
            return loaded, loaded.contract
        case "graph":
            from facepipe.models.restorers.graph import GraphNetwork

            contract = contract_of(files)
            graph = files.paths[0]
            return GraphNetwork(
                graph, contract, device=device, runtime=runtime, threads=threads
            ), contract
        case "plugin":
            from facepipe.models.restorers.plugins import start_plugin

            contract = contract_of(files)
            return start_plugin(files.spec.name, device=device, threads=threads), contract
        case "own":
            runner = create_runner(files, device=device, runtime=runtime, threads=threads)
            return runner, fishsrnet.CONTRACT
