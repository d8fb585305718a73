"""What can be a row of an evaluation: a restorer, or a network of the papers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from facepipe.datatypes import CANVAS, Crops
from facepipe.errors import ModelError
from facepipe.models.networks.complexity import gigamacs, parameters
from facepipe.models.networks.factory import small_network, small_networks
from facepipe.models.registry import find_model
from facepipe.models.restorers import create_restorer
from facepipe.models.runtime import Device, choose
from facepipe.models.weights import load_weights, read_weights

#: (N, 128, 128, 10) float32, the canvas in [0, 1] and what is beside it, to (N, 128, 128, 3).
Restore = Callable[[NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True)
class Cost:
    """What a restorer costs: its numbers, and 10^9 multiply-accumulates a face."""

    parameters: int
    gmacs: float


@dataclass(frozen=True, eq=False)
class Entrant:
    """A restorer to be measured; `cost` is None where it is not known."""

    restore: Restore
    cost: Cost | None


def entrant(name: str, *, device: Device = "auto", mirrored: bool = False) -> Entrant:
    """The restorer `name` as a row.

    A name of the registry, a `.safetensors` file with its graph, or the `.safetensors` file that
    `facepipe train` leaves of a network of the papers. Arguments and errors are those of
    `create_restorer`; ModelError for weights that are no row.
    """
    path = Path(name)
    if path.suffix == ".safetensors" and not path.with_suffix(".onnx").exists():
        return _small(path, device)
    restorer = create_restorer(name, device=device, threads=2, mirrored=mirrored)

    def restore(seen: NDArray[np.float32]) -> NDArray[np.float32]:
        nowhere = np.zeros(len(seen), np.intp)
        crops = Crops(
            pixels=seen[..., :3],
            to_frame=np.zeros((len(seen), 2, 3)),
            frame=nowhere,
            track=nowhere,
            neighbours=seen[..., 3:],
        )
        return restorer(crops).pixels

    spec = find_model(name).spec
    return Entrant(restore, Cost(spec.parameters, spec.gmacs) if spec.parameters else None)


def _small(path: Path, device: Device) -> Entrant:
    _, notes = read_weights(path)
    if notes.get("network") not in small_networks():
        raise ModelError(
            f"{path}: weights of {notes.get('network', 'an unknown network')}, which is no row by "
            f"itself; export it first, or take one of {', '.join(small_networks())}"
        )
    network = small_network(notes["network"], int(notes.get("width", 64)))
    load_weights(network, path)
    cost = Cost(parameters(network), gigamacs(network, torch.zeros(1, 3, CANVAS, CANVAS)))
    where = torch.device(choose(device, "torch")[0])
    network.eval().to(where, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def restore(seen: NDArray[np.float32]) -> NDArray[np.float32]:
        canvas = torch.from_numpy(np.ascontiguousarray(seen[..., :3])).permute(0, 3, 1, 2)
        with torch.inference_mode():
            restored = network(canvas.to(where)).clamp(0, 1)
        return np.asarray(restored.permute(0, 2, 3, 1).float().cpu().numpy(), np.float32)

    return Entrant(restore, cost)
