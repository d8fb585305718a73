"""Candidates of an evaluation: restorers, and trained networks of the papers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from facepipe.datatypes import CANVAS, OWN_ALIGNMENT, Crops
from facepipe.errors import ModelError
from facepipe.faces.canvas import antialiased, canvas_to_frame, invert, resampled
from facepipe.models.networks.complexity import gigamacs, parameters
from facepipe.models.networks.factory import small_network, small_networks
from facepipe.models.registry import find_model, is_own
from facepipe.models.restorers import create_restorer
from facepipe.models.runtime import Device, choose
from facepipe.models.weights import load_weights, read_weights

#: Canvases in [0, 1] with fused neighbours (N, 128, 128, 10) float32 to restored (N, 128, 128, 3).
Restore = Callable[[NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True)
class Cost:
    """Cost of a restorer: number of parameters, and 10^9 multiply-accumulates for one face."""

    parameters: int
    gmacs: float


@dataclass(frozen=True, eq=False)
class Candidate:
    """A restorer to be measured; `cost` is None where it is not known."""

    restore: Restore
    cost: Cost | None


def load_candidate(name: str, *, device: Device = "auto", mirrored: bool = False) -> Candidate:
    """Load the restorer `name` for evaluation.

    `name` is as in `find_model`, or the `.safetensors` file that `facepipe train` writes for a
    network of the papers. Faces are put on the restorer's own canvas, and its results back.
    Arguments and errors are those of `create_restorer`; ModelError for weights of another network.
    """
    path = Path(name)
    if path.suffix == ".safetensors" and is_own(path) and not path.with_suffix(".onnx").exists():
        return _load_small(path, device)
    restorer = create_restorer(name, device=device, threads=2, mirrored=mirrored)
    alignment = restorer.contract.alignment
    to_canvas = canvas_to_frame(alignment.points, OWN_ALIGNMENT)
    own_canvas = (alignment.side, alignment.template) == (CANVAS, OWN_ALIGNMENT.template)

    def restore(inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        no_index = np.zeros(len(inputs), np.intp)
        pixels, neighbours = inputs[..., :3], inputs[..., 3:]
        if not own_canvas:  # onto its canvas, and back
            pixels = _sampled(pixels, invert(to_canvas), alignment.side)
        crops = Crops(
            pixels=pixels,
            to_frame=np.zeros((len(inputs), 2, 3)),
            frame=no_index,
            track=no_index,
            neighbours=neighbours if own_canvas else None,
            alignment=alignment,
        )
        restored = restorer(crops).pixels
        return restored if own_canvas else _sampled(restored, to_canvas, CANVAS)

    spec = find_model(name).spec
    return Candidate(restore, Cost(spec.parameters, spec.gmacs) if spec.parameters else None)


def _sampled(
    canvases: NDArray[np.float32], to_canvas: NDArray[np.float64], side: int
) -> NDArray[np.float32]:
    """(N, side, side, 3): canvases sampled as another alignment has them."""
    made = np.empty((len(canvases), side, side, 3), np.float32)
    for number, canvas in enumerate(canvases):
        made[number] = np.clip(resampled(antialiased(canvas, to_canvas), to_canvas, side), 0, 1)
    return made


def _load_small(path: Path, device: Device) -> Candidate:
    _, metadata = read_weights(path)
    if metadata.get("network") not in small_networks():
        raise ModelError(
            f"{path}: weights of {metadata.get('network', 'an unknown network')}, which is no "
            f"restorer by itself; export it first, or take one of {', '.join(small_networks())}"
        )
    network = small_network(metadata["network"], int(metadata.get("width", 64)))
    load_weights(network, path)
    cost = Cost(parameters(network), gigamacs(network, torch.zeros(1, 3, CANVAS, CANVAS)))
    target = torch.device(choose(device, "torch")[0])
    network.eval().to(target, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def restore(inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        canvas = torch.from_numpy(np.ascontiguousarray(inputs[..., :3])).permute(0, 3, 1, 2)
        with torch.inference_mode():
            restored = network(canvas.to(target)).clamp(0, 1)
        return np.asarray(restored.permute(0, 2, 3, 1).float().cpu().numpy(), np.float32)

    return Candidate(restore, cost)
