"""Networks of others as ONNX: a graph, and beside it a TOML file that states its contract."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from facepipe.datatypes import NEIGHBOUR_CHANNELS, Float32
from facepipe.errors import ModelError
from facepipe.models.contract import Contract, read_contract
from facepipe.models.runtime import Device, GraphRunner, Runtime, graph_runner

#: How a graph names another file of weights: the key "location" of a tensor's external data.
#: The byte after it is the length of the file's name.
_OUTSIDE = re.compile(rb"\x0a\x08location\x12(.)", re.DOTALL)


def contract_path(graph: Path) -> Path:
    """The TOML file that states the contract of a graph."""
    return graph.with_suffix(".toml")


def graph_contract(graph: Path) -> Contract:
    """The contract of a graph. Raises ModelError where it is not stated, or wrong."""
    return read_contract(contract_path(graph))


def weights_beside(graph: Path) -> list[Path]:
    """The files in which a graph keeps weights besides its own, sorted.

    Raises ModelError for one that is no file in the graph's folder.
    """
    content = graph.read_bytes()
    names = {content[at.end() : at.end() + at[1][0]] for at in _OUTSIDE.finditer(content)}
    texts = sorted(name.decode(errors="replace") for name in names)
    for text in texts:
        if set(text) & set("/\\\0") or not (graph.parent / text).is_file():
            raise ModelError(f"{graph}: keeps weights in {text!r}, which is no file beside it")
    return [graph.parent / text for text in texts]


class GraphNetwork:
    """Runs a graph that takes one image tensor and gives the restored one first."""

    def __init__(
        self,
        graph: Path,
        contract: Contract,
        *,
        device: Device,
        runtime: Runtime,
        threads: int,
    ) -> None:
        """Raises ModelError where the graph does not load or is not as the contract says."""
        runner = graph_runner(
            graph, device=device, runtime=runtime, threads=threads, half=contract.half
        )
        _check_shape(graph, runner, contract)
        self._runner = runner
        # A graph that was exported for one image takes one.
        self._one_by_one = runner.input_shape[0] == 1 and contract.batch > 1
        self.description = runner.description

    def __call__(self, canvases_NCHW: Float32, /) -> Sequence[Float32]:
        if not self._one_by_one:
            return self._runner(canvases_NCHW)
        results = [self._runner(canvases_NCHW[k : k + 1]) for k in range(len(canvases_NCHW))]
        return [np.concatenate(parts) for parts in zip(*results, strict=True)]


def _check_shape(graph: Path, runner: GraphRunner, contract: Contract) -> None:
    """Raise ModelError where the graph's input is not what the contract says it is."""
    channels = 3 + NEIGHBOUR_CHANNELS * contract.neighbours
    wanted = (None, channels, contract.input_side, contract.input_side)
    shape = runner.input_shape
    fits = len(shape) == 4 and all(
        given is None or expected is None or given == expected
        for given, expected in zip(shape, wanted, strict=True)
    )
    if contract.native and any(length is not None for length in shape[2:]):
        raise ModelError(
            f"{graph}: takes one size alone, and by {contract_path(graph).name} it is native, so "
            "it must take any"
        )
    batch = shape[0] if shape else None
    if not fits or batch not in (None, 1):
        shown = ", ".join("any" if length is None else str(length) for length in shape)
        raise ModelError(
            f"{graph}: takes an input of shape ({shown}), by {contract_path(graph).name} it is "
            f"(any or 1, {channels}, {contract.input_side}, {contract.input_side})"
        )
