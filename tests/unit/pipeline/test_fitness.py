"""The trial of a worker: what it must see, have and write before it gets a task."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from facepipe.configs.settings import Settings
from facepipe.errors import InputError, ModelError, OutputError, UsageError
from facepipe.pipeline import fitness
from facepipe.pipeline.fitness import Fitness, cleared, show_fitness, trial


def settings(**restore: object) -> Settings:
    return Settings.model_validate({"restore": restore})


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"a video")
    return path


def shown(task: object) -> Fitness:
    return show_fitness(task, lambda _: None)  # type: ignore[arg-type]


def test_a_worker_that_sees_what_the_driver_sees_is_fit(source: Path, tmp_path: Path) -> None:
    with cleared(tmp_path):
        made = trial(settings(), [str(source)], tmp_path)
        one, other = shown(made.task), shown(made.task)
        assert one.written != other.written
        assert made.check(one) is None
        assert made.check(other) is None
    assert list(tmp_path.iterdir()) == [source]


def test_a_source_that_is_missing_or_another_one_is_refused(source: Path) -> None:
    made = trial(settings(), [str(source)], None)
    source.write_bytes(b"another")
    with pytest.raises(InputError, match="another content"):
        shown(made.task)
    source.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        shown(made.task)


def test_another_folder_of_results_is_refused(tmp_path: Path) -> None:
    (tmp_path / "driver").mkdir()
    (tmp_path / "worker").mkdir()
    made = trial(settings(), [], tmp_path / "driver")
    with pytest.raises(OutputError, match="is another folder there"):
        shown(replace(made.task, folder=tmp_path / "worker"))
    assert not list((tmp_path / "worker").iterdir())


def test_what_does_not_arrive_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitness, "_SHOWN_SECONDS", 0.0)
    made = trial(settings(), [], tmp_path)
    with pytest.raises(OutputError, match="does not arrive here"):
        made.check(Fitness("trial-elsewhere", "", ()))


def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(*, required: bool) -> bool:
        raise UsageError("no CUDA device")

    from facepipe.models import runtime

    monkeypatch.setattr(runtime, "cuda_available", nothing)
    with pytest.raises(UsageError, match="no CUDA device"):
        shown(trial(settings(device="cuda"), [], None).task)


def test_other_weights_are_refused() -> None:
    made = trial(settings(), [], None)
    with pytest.raises(ModelError, match="others than the driver's"):
        shown(replace(made.task, weights=("0" * 64,)))


def test_other_libraries_are_remarked_on() -> None:
    made = trial(settings(restorer="bicubic"), [], None)
    one = shown(made.task)
    older = tuple((name, "1.0" if name == "av" else text) for name, text in one.libraries)
    remark = made.check(replace(one, libraries=older))
    assert remark is not None
    assert remark.startswith("results may differ a little: it has av 1.0 (here ")
