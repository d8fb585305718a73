"""Export writes one restorer: the graphs run on the weights of its safetensors file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from facepipe.errors import ModelError
from facepipe.models.networks.fishsrnet import INPUT_CHANNELS, MergedFishSRNet, guided_fishsrnet
from facepipe.models.registry import find_model
from facepipe.models.runtime import OnnxRunner, TorchRunner, onnx_session
from facepipe.models.weights import save_weights
from facepipe.training.export import export

pytestmark = pytest.mark.xdist_group("export")  # one process exports for all


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A restorer with chance weights whose last layer is not zero."""
    folder = tmp_path_factory.mktemp("export")
    torch.manual_seed(0)
    network = guided_fishsrnet()
    torch.nn.init.normal_(network.restore.reconstruct.weight, std=0.02)
    save_weights(network.parsing, folder / "parsing.safetensors", {"steps": "1"})
    save_weights(network.restore, folder / "restore.safetensors", {"steps": "2"})
    export(
        folder / "parsing.safetensors", folder / "restore.safetensors", folder / "own.safetensors"
    )
    return folder / "own.safetensors"


@pytest.mark.parametrize("count", [1, 5])
def test_both_runtimes_agree(exported: Path, count: int) -> None:
    files = find_model(str(exported))
    faces = np.random.default_rng(count).random((count, INPUT_CHANNELS, 128, 128), np.float32)
    ours = OnnxRunner(files.paths[1], threads=1)(faces)
    theirs = TorchRunner(files.paths[0], device="cpu", threads=1)(faces)
    for one, other in zip(ours, theirs, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, atol=2e-5)
    assert np.abs(ours[0] - faces[:, :3]).max() > 0.01


@pytest.mark.parametrize(("end", "largest"), [(".onnx", 200_000), ("-parse.onnx", 30_000)])
def test_the_graphs_hold_no_weights_and_no_path(exported: Path, end: str, largest: int) -> None:
    graph = exported.with_name(exported.stem + end).read_bytes()
    assert len(graph) < largest < exported.stat().st_size
    assert str(Path(torch.__file__).parents[1]).encode() not in graph
    assert b"site-packages" not in graph


def test_the_second_graph_parses_as_the_first_does(exported: Path) -> None:
    faces = np.random.default_rng(3).random((2, INPUT_CHANNELS, 128, 128), np.float32)
    _, parse = OnnxRunner(exported.with_suffix(".onnx"), threads=1)(faces)
    session = onnx_session(exported.with_name("own-parse.onnx"), threads=1)
    np.testing.assert_allclose(session.run(None, {"seen": faces})[0], parse, atol=1e-6)


def test_weights_of_another_network_are_refused(exported: Path) -> None:
    folder = exported.parent
    with pytest.raises(ModelError, match="another network"):
        export(
            folder / "restore.safetensors",
            folder / "parsing.safetensors",
            folder / "no.safetensors",
        )
    assert not (folder / "no.safetensors").exists()


def test_two_trainings_are_mixed(exported: Path) -> None:
    folder = exported.parent
    other = guided_fishsrnet().restore
    torch.nn.init.normal_(other.reconstruct.weight, std=0.05)
    save_weights(other, folder / "other.safetensors", {"steps": "3"})
    export(
        folder / "parsing.safetensors",
        folder / "restore.safetensors",
        folder / "mixed.safetensors",
        mix=folder / "other.safetensors",
        share=0.25,
    )
    key = "restore.reconstruct.weight"
    one, mixed = (load_file(p)[key].float() for p in (exported, folder / "mixed.safetensors"))
    expected = 0.75 * one + 0.25 * other.reconstruct.weight
    torch.testing.assert_close(mixed, expected, atol=2e-4, rtol=2e-3)


def test_kernels_are_merged_and_the_file_says_so(exported: Path) -> None:
    folder = exported.parent
    network = MergedFishSRNet()
    torch.nn.init.normal_(network.reconstruct.weight, std=0.02)
    save_weights(network, folder / "several.safetensors", {"network": "fishsrnet-merged"})
    target = folder / "one.safetensors"
    export(folder / "parsing.safetensors", folder / "several.safetensors", target)
    assert not any(".kernels." in name for name in load_file(target))
    faces = np.random.default_rng(3).random((2, INPUT_CHANNELS, 128, 128), np.float32)
    ours, _ = OnnxRunner(target.with_suffix(".onnx"), threads=1)(faces)
    theirs, _ = TorchRunner(target, device="cpu", threads=1)(faces)
    np.testing.assert_allclose(ours, theirs, atol=2e-5)
    with torch.inference_mode():
        canvas = torch.from_numpy(faces[:, :3])
        parse = torch.from_numpy(OnnxRunner(target.with_suffix(".onnx"), threads=1)(faces)[1])
        trained = network(canvas, parse, torch.from_numpy(faces[:, 3:])).clamp(0, 1).numpy()
    np.testing.assert_allclose(ours, trained, atol=2e-3)  # half precision


def test_weights_of_a_network_that_is_none_of_ours_are_refused(exported: Path) -> None:
    folder = exported.parent
    save_weights(
        torch.nn.Conv2d(1, 1, 1), folder / "srcnn.safetensors", {"restore.network": "srcnn"}
    )
    with pytest.raises(ModelError, match="srcnn"):
        TorchRunner(folder / "srcnn.safetensors", device="cpu", threads=1)
