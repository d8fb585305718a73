"""ONNX graphs of others: by their contracts, and ours among them gives the same pixels."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from facepipe.datatypes import Crops
from facepipe.errors import ModelError, UsageError
from facepipe.models.contract import Contract
from facepipe.models.registry import find_model
from facepipe.models.restorers import contract_of, create_restorer, network_bytes
from media.networks import graph

TERMS = 'licence = "MIT"\n'
OWN = f'neighbours = true\nmask = "own"\nhalf = true\n{TERMS}'


def crops(count: int, contract: Contract) -> Crops:
    side, numbers = contract.canvas, np.arange(count)
    smooth = np.linspace(0.1, 0.9, side, dtype=np.float32)
    pixels = np.broadcast_to(smooth[None, :, None, None], (count, side, side, 3))
    noise = np.random.default_rng(1).normal(0, 0.02, (count, side, side, 7)).astype(np.float32)
    return Crops(
        pixels=np.ascontiguousarray(pixels),
        to_frame=np.zeros((count, 2, 3)),
        frame=numbers,
        track=numbers,
        neighbours=noise,
        alignment=contract.alignment,
    )


@pytest.mark.parametrize("runtime", ["auto", "onnxruntime"])
def test_our_network_as_a_graph_of_others_gives_identical_pixels(
    runtime: Literal["auto", "onnxruntime"], tmp_path: Path
) -> None:
    for path in find_model("fishsrnet").paths:
        shutil.copy(path, tmp_path)
    (tmp_path / "fishsrnet.toml").write_text(OWN)
    name = str(tmp_path / "fishsrnet.onnx")
    given = crops(3, contract_of(find_model(name)))
    built_in = create_restorer("fishsrnet", runtime=runtime, device="cpu")(given)
    generic = create_restorer(name, runtime=runtime, device="cpu")(given)
    np.testing.assert_array_equal(generic.pixels, built_in.pixels)
    assert generic.parse is not None
    assert built_in.parse is not None
    np.testing.assert_array_equal(generic.parse, built_in.parse)


def test_weights_beside_a_graph_are_files_of_the_model(tmp_path: Path) -> None:
    for path in find_model("fishsrnet").paths:
        shutil.copy(path, tmp_path)
    (tmp_path / "fishsrnet.toml").write_text(OWN)
    found = find_model(str(tmp_path / "fishsrnet.onnx"))
    names = [path.name for path in found.paths]
    assert names == ["fishsrnet.onnx", "fishsrnet.toml", "fishsrnet.safetensors"]
    (tmp_path / "fishsrnet.safetensors").unlink()
    with pytest.raises(ModelError, match=r"'fishsrnet\.safetensors', which is no file beside it"):
        find_model(str(tmp_path / "fishsrnet.onnx"))


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("batch", ["n", 1])
def test_a_graph_runs_in_its_own_batches(
    runtime: Literal["onnxruntime", "openvino"], batch: int | str, tmp_path: Path
) -> None:
    path = graph(
        tmp_path / "net.onnx",
        given=(batch, 3, 64, 64),
        scale=2,
        contract=f"canvas = 128\ninput = 64\n{TERMS}",
    )
    given = crops(3, contract_of(find_model(str(path))))
    restored = create_restorer(str(path), runtime=runtime)(given)
    np.testing.assert_allclose(restored.pixels, given.pixels, atol=0.02)


def test_a_graph_that_is_not_as_its_contract_says_is_refused(tmp_path: Path) -> None:
    path = graph(tmp_path / "net.onnx", given=(1, 3, 64, 64), contract=f"canvas = 512\n{TERMS}")
    with pytest.raises(ModelError, match=r"shape \(1, 3, 64, 64\), by net\.toml it is"):
        create_restorer(str(path))
    graph(path, given=(4, 3, 64, 64), contract=f"canvas = 64\n{TERMS}")
    with pytest.raises(ModelError, match="any or 1, 3, 64, 64"):
        create_restorer(str(path))
    graph(path, given=(1, 3, 64, 64), contract=f"canvas = 64\nnative = true\n{TERMS}")
    with pytest.raises(ModelError, match="takes one size alone"):
        create_restorer(str(path))
    path.write_bytes(b"no graph")
    with pytest.raises(ModelError, match="cannot load this graph"):
        create_restorer(str(path))
    path.with_suffix(".toml").unlink()
    with pytest.raises(ModelError, match="must state the contract"):
        create_restorer(str(path))
    with pytest.raises(ModelError, match="no such file of weights"):
        create_restorer(str(tmp_path / "none.onnx"))


def test_pytorch_takes_no_graph(tmp_path: Path) -> None:
    path = graph(tmp_path / "net.onnx", contract=f"canvas = 512\n{TERMS}")
    with pytest.raises(UsageError, match="allowed: auto, onnxruntime, openvino"):
        create_restorer(str(path), runtime="torch")


def test_the_contract_belongs_to_the_files(tmp_path: Path) -> None:
    """A resumed run and a cluster's worker notice another contract as other weights."""
    path = graph(tmp_path / "net.onnx", contract=f"canvas = 512\n{TERMS}")
    before = find_model(str(path))
    assert [one.name for one in before.paths] == ["net.onnx", "net.toml"]
    path.with_suffix(".toml").write_text(f"canvas = 512\nrange = [-1, 1]\n{TERMS}")
    assert find_model(str(path)).sha256 != before.sha256


@pytest.mark.parametrize(
    ("side", "terms"),
    [(128, ""), (512, "canvas = 512\n"), (224, 'canvas = 224\ntemplate = "arcface"\n')],
)
def test_a_graph_is_evaluated_on_its_own_canvas(side: int, terms: str, tmp_path: Path) -> None:
    from facepipe.evaluation.restorers import load_candidate

    path = graph(tmp_path / "net.onnx", given=("n", 3, side, side), contract=terms + TERMS)
    inputs = crops(2, Contract(licence="MIT")).network_input(0, 2)
    restored = load_candidate(str(path)).restore(inputs)
    inner = np.s_[:, 20:-20, 20:-20]  # a smaller crop of the face replicates its edge
    np.testing.assert_allclose(restored[inner], inputs[..., :3][inner], atol=0.01)


def test_memory_counts_the_network(tmp_path: Path) -> None:
    small = find_model(str(graph(tmp_path / "small.onnx", contract=TERMS)))
    large = find_model(str(graph(tmp_path / "large.onnx", contract=f"canvas = 512\n{TERMS}")))
    assert 0 == network_bytes(find_model("fishsrnet")) < network_bytes(small)
    assert network_bytes(large) > 10 * network_bytes(small)
