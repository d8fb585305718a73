"""Weights of others as PyTorch files: read without running anything, run as they were trained."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from facepipe.datatypes import Crops
from facepipe.errors import ModelError, UsageError
from facepipe.models.registry import find_model
from facepipe.models.restorers import choose_for, contract_of, create_restorer, describe
from facepipe.models.restorers.checkpoint import _FACES, load_checkpoint
from media.networks import chance_weights, checkpoint


class Bomb:
    """Unpickled, it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.mkdir, (self.path,))


def faces(name: str, count: int) -> Crops:
    contract = contract_of(find_model(name))
    side, numbers = contract.canvas, np.arange(count)
    return Crops(
        pixels=np.random.default_rng(1).random((count, side, side, 3), np.float32),
        to_frame=np.tile(np.array([[0.1, 0, 0], [0, 0.1, 0]]), (count, 1, 1)),
        frame=numbers,
        track=numbers,
        alignment=contract.alignment,
    )


@pytest.mark.parametrize(("suffix", "old"), [(".pth", False), (".pt", True), (".ckpt", False)])
def test_a_file_with_code_in_it_is_refused_before_it_runs(
    suffix: str, old: bool, tmp_path: Path
) -> None:
    path, made = tmp_path / f"evil{suffix}", tmp_path / "made"
    content = {"params": chance_weights("ESRGAN"), "more": Bomb(made)}
    torch.save(content, path, _use_new_zipfile_serialization=not old)
    with pytest.raises(ModelError, match="refused unread, as it holds more than weights"):
        contract_of(find_model(str(path)))
    assert not made.exists()
    torch.load(path, weights_only=False)  # the bomb is one
    assert made.exists()


def test_what_holds_less_than_it_names_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.pth"
    torch.save({"params": {"w": torch.zeros(1).expand(100_000, 1000)}}, path)
    with pytest.raises(ModelError, match="names more weights than it holds"):
        contract_of(find_model(str(path)))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(10**8))
    with pytest.raises(ModelError, match="unpacks to 100 MB, many times its size"):
        contract_of(find_model(str(path)))


def test_a_plain_pickle_and_torchscript_are_refused(tmp_path: Path) -> None:
    path, made = tmp_path / "evil.pth", tmp_path / "made"
    path.write_bytes(pickle.dumps(Bomb(made)))
    with pytest.raises(ModelError, match=r"refused unread|damaged, or a pickle"):
        contract_of(find_model(str(path)))
    assert not made.exists()
    script = tmp_path / "script.pt"
    torch.jit.save(torch.jit.trace(torch.nn.Conv2d(3, 3, 1), torch.zeros(1, 3, 8, 8)), script)  # type: ignore[no-untyped-call]
    assert zipfile.is_zipfile(script)
    with pytest.raises(ModelError, match="TorchScript, which holds a program"):
        contract_of(find_model(str(script)))


def test_damaged_and_unknown_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    path.write_bytes(b"no weights")
    with pytest.raises(ModelError, match="damaged, or "):
        contract_of(find_model(str(path)))
    torch.save({"layer.weight": torch.zeros(3)}, path)
    with pytest.raises(ModelError, match="spandrel does not know"):
        contract_of(find_model(str(path)))
    torch.save(torch.zeros(3), path)
    with pytest.raises(ModelError, match="holds a Tensor, not weights by their names"):
        contract_of(find_model(str(path)))
    weights = chance_weights("ESRGAN")
    name = next(iter(weights))
    torch.save(weights | {name: weights[name][:1]}, path)
    with pytest.raises(ModelError, match=r"fit no network|does not know"):
        contract_of(find_model(str(path)))
    with pytest.raises(ModelError, match="no such file of weights"):
        find_model(str(tmp_path / "none.pth"))


@pytest.mark.parametrize("architecture", ["SwinIR", "ESRGAN", "SPAN", "NAFNet"])
def test_a_network_restores_by_its_contract(architecture: str, tmp_path: Path) -> None:
    path = str(checkpoint(architecture, tmp_path / "net.pth"))
    kind, contract = describe(find_model(path))
    assert kind == architecture
    assert contract.canvas == 512
    given = faces(path, 2)
    restorer = create_restorer(path, device="cpu")
    restored = restorer(given)
    assert restored.pixels.shape == (2, 512, 512, 3)
    assert np.isfinite(restored.pixels).all()
    assert architecture in restorer.description
    np.testing.assert_array_equal(restorer(given).pixels, restored.pixels)


def test_faces_are_given_in_the_range_of_their_training(tmp_path: Path) -> None:
    """From -1 to 1, as the makers of these three do it; spandrel's own call does not."""
    path = checkpoint("RestoreFormer", tmp_path / "net.pth")
    contract = contract_of(find_model(str(path)))
    assert contract.range == (-1, 1)
    given = faces(str(path), 1)
    ours = create_restorer(str(path), device="cpu")(given).pixels[0]
    network = load_checkpoint(path).descriptor.model
    with torch.inference_mode():
        seen = torch.from_numpy(given.pixels.transpose(0, 3, 1, 2) * 2 - 1)
        theirs = network(seen)[0][0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(ours, np.clip((theirs + 1) / 2, 0, 1), atol=1e-5)


def test_licences_are_told(tmp_path: Path) -> None:
    assert "non-commercial use only" in _FACES["CodeFormer"].licence
    path = checkpoint("ESRGAN", tmp_path / "net.pth")
    assert "permissive" in contract_of(find_model(str(path))).licence


def test_safetensors_of_others_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    save_file({n: t.contiguous() for n, t in chance_weights("ESRGAN").items()}, path)
    assert describe(find_model(str(path)))[0] == "ESRGAN"


def test_they_run_in_pytorch_alone(tmp_path: Path) -> None:
    files = find_model(str(checkpoint("ESRGAN", tmp_path / "net.pth")))
    assert choose_for(files, "cpu", "auto") == ("cpu", "torch")
    with pytest.raises(UsageError, match=r"net\.pth runs in PyTorch"):
        choose_for(files, "cpu", "openvino")


@pytest.mark.long
def test_gfpgan_makes_the_same_of_the_same(tmp_path: Path) -> None:
    """Its own call adds new noise each time, which would flicker."""
    path = str(checkpoint("GFPGAN", tmp_path / "net.pth"))
    restorer, given = create_restorer(path, device="cpu"), faces(path, 1)
    np.testing.assert_array_equal(restorer(given).pixels, restorer(given).pixels)
