"""What runs the shipped network: parity, batching, and clear refusals."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from facepipe.datatypes import Crops
from facepipe.errors import ModelError, UsageError
from facepipe.models.networks.fishsrnet import INPUT_CHANNELS
from facepipe.models.registry import find_model
from facepipe.models.restorers import create_restorer
from facepipe.models.restorers.fishsrnet import BATCH
from facepipe.models.runtime import OnnxRunner, OpenVinoRunner, TorchRunner, choose


def crops(count: int) -> Crops:
    """Faces with neighbours."""
    pixels = np.random.default_rng(1).random((count, 128, 128, 3), np.float32)
    nowhere = np.zeros(count, np.intp)
    neighbours = np.random.default_rng(2).normal(0, 0.02, (count, 128, 128, 7)).astype(np.float32)
    return Crops(
        pixels=pixels,
        to_frame=np.zeros((count, 2, 3)),
        frame=nowhere,
        track=nowhere,
        neighbours=neighbours,
    )


@pytest.mark.parametrize("name", ["fishsrnet", "fishsrnet@natural"])
def test_shipped_weights_agree_on_every_runtime(name: str) -> None:
    files = find_model(name)
    smooth = np.linspace(0, 1, 128, dtype=np.float32)
    face = np.broadcast_to(smooth, (2, INPUT_CHANNELS, 128, 128)).copy()
    face[1] = np.random.default_rng(0).random((INPUT_CHANNELS, 128, 128))
    face[:, 3:] *= 0.02
    ours = OnnxRunner(files.paths[1], threads=1)(face)
    theirs = TorchRunner(files.paths[0], device="cpu", threads=1)(face)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
    np.testing.assert_allclose(ours[1].sum(1), 1, atol=1e-4)
    half = OpenVinoRunner(files.paths[1], threads=1)(face)  # in bfloat16 where that is at home
    np.testing.assert_allclose(half[0], ours[0], atol=0.015)
    assert np.abs(half[0] - ours[0]).mean() < 1e-3
    np.testing.assert_allclose(half[1], ours[1], atol=6e-2)


def test_half_precision_is_near_and_falls_back_where_it_overflows(tmp_path: Path) -> None:
    from facepipe.models.networks.fishsrnet import guided_fishsrnet
    from facepipe.models.weights import load_weights, save_weights

    weights = find_model("fishsrnet").paths[0]
    seen = np.random.default_rng(3).random((2, INPUT_CHANNELS, 128, 128), np.float32)
    seen[:, 3:] *= 0.02
    half = TorchRunner(weights, device="cpu", threads=1, half=True)
    whole = TorchRunner(weights, device="cpu", threads=1)(seen)
    found = half(seen)
    assert half.fallbacks == 0
    assert np.abs(found[0] - whole[0]).mean() < 5e-4

    network = guided_fishsrnet()
    load_weights(network, weights)
    with torch.no_grad():  # numbers beyond what half precision holds, taken back by the next layer
        network.restore.down16.conv.weight *= 1e6
        network.restore.down16.conv.bias *= 1e6
    save_weights(network, tmp_path / "large.safetensors", {})
    large = TorchRunner(tmp_path / "large.safetensors", device="cpu", threads=1, half=True)
    expected = TorchRunner(tmp_path / "large.safetensors", device="cpu", threads=1)(seen)
    for one, other in zip(large(seen), expected, strict=True):
        np.testing.assert_array_equal(one, other)
        assert np.isfinite(one).all()
    assert large.fallbacks == 1


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino", "torch"])
def test_a_face_does_not_depend_on_its_batch(runtime: str) -> None:
    restorer = create_restorer("fishsrnet", device="cpu", runtime=runtime)  # type: ignore[arg-type]
    many = crops(BATCH + 3)
    together = restorer(many)
    assert together.pixels.shape == many.pixels.shape
    assert together.pixels.min() >= 0
    assert together.pixels.max() <= 1
    assert many.neighbours is not None
    last = Crops(
        pixels=many.pixels[-1:],
        to_frame=many.to_frame[-1:],
        frame=many.frame[-1:],
        track=many.track[-1:],
        neighbours=many.neighbours[-1:],
    )
    atol = 0.015 if runtime == "openvino" else 1e-4
    np.testing.assert_allclose(restorer(last).pixels[0], together.pixels[-1], atol=atol)
    assert len(restorer(crops(0)).pixels) == 0


def test_mirrored_is_the_mean_of_both_ways() -> None:
    def flipped(given: Crops) -> Crops:
        pixels = np.ascontiguousarray(given.pixels[:, :, ::-1])
        return Crops(pixels=pixels, to_frame=given.to_frame, frame=given.frame, track=given.track)

    given = crops(2)
    given = Crops(
        pixels=given.pixels, to_frame=given.to_frame, frame=given.frame, track=given.track
    )
    plain = create_restorer("fishsrnet", device="cpu")
    both = create_restorer("fishsrnet", device="cpu", mirrored=True)(given)
    one, other = plain(given), plain(flipped(given))
    expected = (one.pixels + other.pixels[:, :, ::-1]) / 2
    np.testing.assert_allclose(both.pixels, expected, atol=1e-5)
    assert both.parse is not None
    assert one.parse is not None
    assert other.parse is not None
    np.testing.assert_allclose(both.parse, (one.parse + other.parse[..., ::-1]) / 2, atol=1e-5)


def test_bicubic_adds_nothing() -> None:
    given = crops(2)
    assert create_restorer("bicubic")(given).pixels is given.pixels


def test_auto_is_the_fastest_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    if torch.cuda.is_available():
        assert choose("auto", "auto") == ("cuda", "torch")
    assert choose("cpu", "auto") == ("cpu", "openvino")
    assert choose("cpu", "torch") == ("cpu", "torch")
    monkeypatch.setattr("facepipe.models.runtime.find_spec", lambda name: None)
    assert choose("cpu", "auto") == ("cpu", "onnxruntime")
    with pytest.raises(UsageError, match=r"install facepipe\[torch\]"):
        choose("cpu", "torch")
    with pytest.raises(UsageError, match="needs the package openvino"):
        choose("cpu", "openvino")


def test_cuda_runs_or_is_refused() -> None:
    if torch.cuda.is_available():
        files = find_model("fishsrnet")
        face = np.random.default_rng(0).random((3, 5, 3, 128, 128), np.float32)
        ours = TorchRunner(files.paths[0], device="cuda", threads=1)(face)
        np.testing.assert_allclose(
            ours[0], OnnxRunner(files.paths[1], threads=1)(face)[0], atol=5e-3
        )
        return
    assert not os.environ.get("FACEPIPE_FAIL_WITHOUT_CUDA"), "a CUDA device was promised"
    with pytest.raises(UsageError, match="allowed: auto, cpu"):
        choose("cuda", "auto")


def test_openvino_reports_to_nobody(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from facepipe.models.restorers import create_restorer\n"
        "create_restorer('fishsrnet', device='cpu', runtime='openvino')\n"
        "assert 'openvino' in sys.modules\n"
        "print([name for name, module in sys.modules.items() if 'telemetry' in name and module])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "HOME": str(tmp_path), "FACEPIPE_CACHE": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "openvino_telemetry" not in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_cuda_goes_with_torch_alone(runtime: Literal["onnxruntime", "openvino"]) -> None:
    with pytest.raises(UsageError, match=f"runtime {runtime} was asked for"):
        choose("cuda", runtime)


@pytest.mark.parametrize("runner", [OnnxRunner, OpenVinoRunner])
def test_a_damaged_graph_is_reported(
    runner: type[OnnxRunner] | type[OpenVinoRunner], tmp_path: Path
) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"no graph")
    with pytest.raises(ModelError, match="cannot load this graph"):
        runner(tmp_path / "bad.onnx", threads=1)
