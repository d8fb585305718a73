from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from facepipe.errors import ModelError
from facepipe.models.weights import load_weights, read_weights, save_weights


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 1))


@pytest.fixture
def saved(network: nn.Module, tmp_path: Path) -> Path:
    path = tmp_path / "network.safetensors"
    save_weights(network, path, {"steps": "7", "network": "toy"})
    return path


def test_weights_and_notes_come_back(network: nn.Module, saved: Path) -> None:
    tensors, notes = read_weights(saved)
    assert notes == {"steps": "7", "network": "toy"}
    assert tensors.keys() == network.state_dict().keys()
    other = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 1))
    assert load_weights(other, saved) == notes
    for one, another in zip(network.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, another)


def test_weights_are_stored_as_float32_whatever_the_layout(
    network: nn.Module, tmp_path: Path
) -> None:
    path = tmp_path / "half.safetensors"
    save_weights(network.bfloat16().to(memory_format=torch.channels_last), path, {})  # type: ignore[call-overload]
    tensors, notes = read_weights(path)
    assert notes == {}
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}


def test_no_partial_file_is_left(saved: Path) -> None:
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_missing_weights_are_reported(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such weights file"):
        read_weights(tmp_path / "absent.safetensors")


@pytest.mark.parametrize("damage", ["garbage", "cut", "empty"])
def test_damaged_weights_are_reported(damage: str, saved: Path) -> None:
    whole = saved.read_bytes()
    saved.write_bytes({"garbage": b"x" * 400, "cut": whole[:-20], "empty": b""}[damage])
    with pytest.raises(ModelError, match="damaged"):
        read_weights(saved)


def test_weights_of_another_network_are_reported(saved: Path) -> None:
    for other in (nn.Sequential(nn.Conv2d(3, 5, 3)), nn.Linear(2, 2)):
        with pytest.raises(ModelError, match="another network"):
            load_weights(other, saved)
