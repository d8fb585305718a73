"""Data-parallel training through the real Ray Train: workers together train as one process."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from facepipe.configs.training import TrainSettings
from facepipe.errors import UsageError, WorkerError
from facepipe.models.networks.parsingnet import ParsingNet
from facepipe.models.weights import read_weights, save_weights
from facepipe.training.data import FaceBatches
from facepipe.training.distributed import train_on_workers
from facepipe.training.face_archive import FaceArchive
from facepipe.training.loop import train


@pytest.fixture
def settings(faces_folder: Path, tmp_path: Path) -> TrainSettings:
    torch.manual_seed(3)
    save_weights(ParsingNet(), tmp_path / "parsing.safetensors", {})
    return TrainSettings(
        network="fishsrnet",
        faces=(faces_folder,),
        parsing=tmp_path / "parsing.safetensors",
        out=tmp_path / "one",
        steps=3,
        batch=4,
        loss="psnr",
        sequences=0.5,
        fourier_weight=0,
        precision="float32",
        device="cpu",
        loader_workers=0,
        threads=1,
    )


def test_workers_share_a_batch(faces_folder: Path) -> None:
    def batch(shard: tuple[int, int]) -> torch.Tensor:
        faces = FaceArchive([faces_folder])
        every = FaceBatches(faces, batch=4, steps=2, seed=0, exact_bicubic=0.4, shard=shard)
        return every[1].inputs

    whole = batch((0, 1))
    assert torch.equal(whole[0::2], batch((0, 2)))
    assert torch.equal(whole[1::2], batch((1, 2)))


@pytest.mark.long
def test_two_workers_learn_what_one_does(settings: TrainSettings, tmp_path: Path) -> None:
    list(train(settings))
    train_on_workers(settings.model_copy(update={"out": tmp_path / "two"}), workers=2)
    one, _ = read_weights(tmp_path / "one" / "fishsrnet.safetensors")
    two, metadata = read_weights(tmp_path / "two" / "fishsrnet.safetensors")
    assert metadata["steps"] == "3"
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, atol=2e-4, rtol=1e-3)
    # Resumed by one process, the run is seen to be finished.
    assert list(train(settings.model_copy(update={"out": tmp_path / "two"}))) == []


def test_a_batch_that_workers_cannot_share_is_refused_at_once(settings: TrainSettings) -> None:
    uneven = settings.model_copy(update={"batch": 3})
    with pytest.raises(UsageError, match="batch 3 cannot be shared by 2 workers evenly"):
        train_on_workers(uneven, workers=2)
    assert not settings.out.exists()


@pytest.mark.long
def test_a_training_that_fails_on_a_worker_is_reported(settings: TrainSettings) -> None:
    lacking = settings.model_copy(update={"faces": (settings.out / "none",)})
    with pytest.raises(WorkerError, match=r"(?s)the training failed: .*none"):
        train_on_workers(lacking, workers=2)
