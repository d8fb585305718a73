"""Models resolve by path, by FACEPIPE_WEIGHTS, by the package, and never unverified."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from facepipe._system.files import sha256_of
from facepipe.errors import ModelError, UsageError
from facepipe.models.registry import PARSER, RESTORERS, WEIGHTS_VARIABLE, find_model, verified


def test_shipped_weights_are_there_and_small() -> None:
    shipped = set()
    for spec in (*RESTORERS, PARSER):
        files = verified(spec)
        shipped.update(files.paths)
        assert files.sha256 == tuple(sha256_of(path) for path in files.paths)
        assert spec.gmacs <= 1.2
    assert 0 < sum(path.stat().st_size for path in shipped) <= 25e6


def test_both_trainings_of_fishsrnet_go_by_name() -> None:
    plain, natural = find_model("fishsrnet"), find_model("fishsrnet@natural")
    assert find_model("fishsrnet@psnr") == plain
    assert natural.paths[0].name == "fishsrnet-natural.safetensors"
    assert natural.sha256[0] != plain.sha256[0]
    with pytest.raises(UsageError, match="fishsrnet, fishsrnet@psnr, fishsrnet@natural, bicubic"):
        find_model("fishsrnet@sharp")


def test_what_the_table_says_of_fishsrnet_is_true() -> None:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from facepipe.models.networks.fishsrnet import INPUT_CHANNELS, guided_fishsrnet

    network = guided_fishsrnet()
    (spec,) = [spec for spec in RESTORERS if spec.name == "fishsrnet"]
    for said, part, channels in ((spec, network, INPUT_CHANNELS), (PARSER, network.parsing, 3)):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            part(torch.zeros(1, channels, 128, 128))
        assert said.parameters == sum(p.numel() for p in part.parameters())
        assert said.gmacs == pytest.approx(counter.get_total_flops() / 2e9, abs=0.005)


def test_a_folder_of_weights_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packaged = find_model("fishsrnet")
    for path in packaged.paths:
        shutil.copy(path, tmp_path)
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(tmp_path))
    assert {path.parent for path in find_model("fishsrnet").paths} == {tmp_path}
    (tmp_path / "fishsrnet.onnx").unlink()  # what the folder lacks, the package has
    assert find_model("fishsrnet").paths[1] == packaged.paths[1]
    (tmp_path / "fishsrnet.safetensors").write_bytes(b"other")
    with pytest.raises(ModelError, match="sha256 is"):
        find_model("fishsrnet")


def test_unknown_names_and_missing_files_are_reported(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there are fishsrnet, fishsrnet@psnr, "):
        find_model("gfpgan")
    with pytest.raises(ModelError, match="no such file"):
        find_model(str(tmp_path / "own.safetensors"))
    (tmp_path / "own.safetensors").write_bytes(b"x")
    with pytest.raises(ModelError, match=r"own\.onnx: no such file"):
        find_model(str(tmp_path / "own.safetensors"))


def test_a_changed_file_has_another_digest(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"one")
    first = sha256_of(path)
    path.write_bytes(b"other")
    assert sha256_of(path) != first


def test_models_show_prints_a_contract(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from facepipe.cli.models import show_model
    from media.networks import graph

    graph(tmp_path / "net.onnx", contract='canvas = 512\nrange = [-1, 1]\nlicence = "MIT"\n')
    show_model(str(tmp_path / "net.onnx"))
    shown = capsys.readouterr().out
    assert shown.startswith("net: ONNX\n")
    for line in (
        "canvas: 512",
        "range: (-1, 1)",
        "any_size: false",
        "licence: MIT",
        "net.toml sha256",
    ):
        assert line in shown
    show_model("fishsrnet")
    assert "neighbours: true" in capsys.readouterr().out
