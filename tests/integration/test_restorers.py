"""Networks of others restore a video: with our tracking, masks and smoothing around them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from facepipe import ModelError, Settings, enhance
from facepipe.pipeline.sidecar import sidecar_path
from media import portraits
from media.networks import ARCHITECTURES, checkpoint, graph

TERMS = 'licence = "MIT"\n'
#: Large ones take half a minute on a processor.
LONG = ("GFPGAN", "CodeFormer", "RestoreFormer")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three frames with two faces of about 24 and 34 px."""
    return portraits.video(tmp_path_factory.mktemp("clip") / "clip.mp4", frames=3, audio=0)


@pytest.fixture(scope="module")
def large_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three frames with faces of about 96 and 136 px, more than facepipe's own canvas holds."""
    return portraits.video(
        tmp_path_factory.mktemp("clip") / "large.mp4",
        frames=3,
        audio=0,
        size=(portraits.WIDTH * 4, portraits.HEIGHT * 4),
        pictures=lambda number: portraits.scene(number, 4),
    )


def settings(restorer: Path | str, **more: Any) -> Settings:
    restore = {"restorer": str(restorer), "device": "cpu"} | more.pop("restore", {})
    output = {"codec": "ffv1"} | more.pop("output", {})
    return Settings.model_validate({"restore": restore, "output": output, "workers": 1} | more)


def lumas(path: Path) -> NDArray[np.int64]:
    with av.open(str(path)) as container:
        return np.array(
            [f.to_ndarray(format="gray").astype(int) for f in container.decode(video=0)]
        )


@pytest.mark.parametrize(
    "architecture",
    [pytest.param(name, marks=[pytest.mark.long] * (name in LONG)) for name in ARCHITECTURES],
)
def test_eight_architectures_restore_a_video(architecture: str, clip: Path, tmp_path: Path) -> None:
    weights = checkpoint(architecture, tmp_path / "net.pth")
    target = tmp_path / "out.mkv"
    done = enhance(clip, target, settings(weights, choose={"largest": 1}))
    assert done.faces == 3
    report = json.loads(sidecar_path(target).read_text())
    assert list(report["model"]["files"]) == ["net.pth"]
    assert architecture in report["model"]["runs_on"][0]
    assert any("licence" in warning for warning in done.warnings)
    before, after = lumas(clip), lumas(target)
    assert before.shape == after.shape
    changed = np.abs(after - before).max(0) > 0
    x0, y0, x1, y1 = report["tracks"][0]["knots"][0]["changed"]
    assert changed[y0 - 2 : y1 + 2, x0 - 4 : x1 + 4].sum() == changed.sum() > 100


def test_a_network_that_does_nothing_changes_nothing(clip: Path, tmp_path: Path) -> None:
    same = graph(tmp_path / "same.onnx", contract=f"canvas = 512\n{TERMS}")
    size = {"given": ("n", 3, 128, 128), "contract": TERMS}
    small = graph(tmp_path / "small.onnx", **size)  # type: ignore[arg-type]
    for name, weights in (("large", same), ("small", small)):
        made = settings(weights, restore={"fidelity": 0.0})
        assert enhance(clip, tmp_path / f"{name}.mkv", made).faces == 6
    # What is left is the mean over neighbouring frames, as with every restorer.
    difference = np.abs(lumas(tmp_path / "large.mkv") - lumas(tmp_path / "small.mkv"))
    assert difference.max() <= 3
    assert difference.mean() < 0.05


def test_colours_and_light_are_matched_to_the_source(clip: Path, tmp_path: Path) -> None:
    same = graph(tmp_path / "same.onnx", contract=f"canvas = 512\n{TERMS}")
    light = graph(tmp_path / "light.onnx", plus=0.1, contract=f"canvas = 512\n{TERMS}")
    for name, weights in (("same", same), ("light", light)):
        enhance(clip, tmp_path / f"{name}.mkv", settings(weights, restore={"fidelity": 0.0}))
    difference = np.abs(lumas(tmp_path / "light.mkv") - lumas(tmp_path / "same.mkv"))
    assert difference.max() <= 8  # of 25 that it adds
    assert difference.mean() < 0.1


def test_faces_larger_than_our_canvas_go_through_a_larger_one(
    large_clip: Path, tmp_path: Path
) -> None:
    sharper = f"canvas = 512\n{TERMS}"
    weights = graph(tmp_path / "sharp.onnx", times=1.2, contract=sharper)
    done = enhance(large_clip, tmp_path / "out.mkv", settings(weights))
    assert done.faces == 6
    assert enhance(large_clip, tmp_path / "own.mkv", settings("bicubic")).faces == 0
    weights.with_suffix(".toml").write_text(TERMS + "canvas = 128\ninput = 512\nany_size = true\n")
    # A canvas of 128 px takes them too, where its contract says so.
    graph(weights, given=("n", 3, 128, 128), times=1.2, contract=f"{TERMS}any_size = true\n")
    assert enhance(large_clip, tmp_path / "any.mkv", settings(weights)).faces == 6


def test_a_file_with_code_in_it_ends_with_exit_code_5(clip: Path, tmp_path: Path) -> None:
    made = tmp_path / "made"

    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.mkdir, (made,))

    torch.save({"params": Bomb()}, tmp_path / "evil.pth")
    target = tmp_path / "out.mp4"
    command = [sys.executable, "-m", "facepipe", "run", str(clip), "-o", str(target)]
    done = subprocess.run(
        [*command, "--restorer", str(tmp_path / "evil.pth")], capture_output=True, text=True
    )
    assert done.returncode == 5
    assert "holds more than weights" in done.stderr
    assert not made.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evil.pth"]


def test_a_package_registers_a_restorer(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(
        "from facepipe.models.contract import Contract\n"
        "class Mine:\n"
        "    contract = Contract(canvas=256, range=(-1, 1), licence='MIT')\n"
        "    description = 'mine'\n"
        "    def __init__(self, *, device, threads): pass\n"
        "    def __call__(self, canvases):\n"
        "        assert canvases.shape[1:] == (3, 256, 256) and canvases.min() < 0\n"
        "        return (1.2 * canvases,)\n"
        "class Wrong:\n"
        "    pass\n"
    )
    folder = tmp_path / "mine-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text(
        "[facepipe.restorers]\nmine = mine:Mine\nwrong = mine:Wrong\ngone = none_such:Mine\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    target = tmp_path / "out.mkv"
    done = enhance(clip, target, settings("mine"))
    assert done.faces == 6
    report = json.loads(sidecar_path(target).read_text())
    assert list(report["model"]["files"]) == ["mine.py"]
    assert report["model"]["runs_on"] == ["mine"]
    with pytest.raises(ModelError, match="mine:Wrong has no `contract`"):
        enhance(clip, tmp_path / "no.mkv", settings("wrong"))
    with pytest.raises(ModelError, match="no module none_such"):
        enhance(clip, tmp_path / "no.mkv", settings("gone"))
