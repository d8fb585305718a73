"""Weights on disk: safetensors, with a record of their training in the header."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from facepipe._system.files import atomic_write
from facepipe.errors import ModelError


def save_weights(
    module: nn.Module,
    path: Path,
    notes: dict[str, str],
    *,
    dtype: torch.dtype = torch.float32,
) -> None:
    """Write `module`'s tensors and `notes` (the header's strings) atomically.

    Raises OutputError where the disk refuses.
    """
    tensors = {
        name: t.detach().to(dtype).contiguous().cpu() for name, t in module.state_dict().items()
    }
    with atomic_write(path) as partial:
        save_file(tensors, partial, metadata={k: notes[k] for k in sorted(notes)})


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the header's strings. Raises ModelError when missing or damaged."""
    if not path.is_file():
        raise ModelError(f"{path}: no such weights file")
    try:
        with safe_open(path, framework="pt") as file:
            names = file.keys()
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise ModelError(f"{path}: damaged or no safetensors file ({error})") from error


def load_weights(module: nn.Module, path: Path) -> dict[str, str]:
    """Fill `module` from `path` and return the header's strings.

    Raises ModelError when the file does not fit the network.
    """
    tensors, notes = read_weights(path)
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        raise ModelError(f"{path}: weights of another network ({error})") from error
    return notes
