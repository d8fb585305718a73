"""Marking and proof on whole runs: marked, signed, verified, broken, reproduced."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from facepipe import Settings, analyze, enhance, render
from facepipe.batch.runner import run_batch
from facepipe.batch.verify import verify_batch
from facepipe.cli.main import app
from facepipe.configs.settings import load_settings
from facepipe.errors import InputError, UsageError, VerificationError
from facepipe.marking.manifest import MANIFEST_SUFFIX
from facepipe.marking.xmp import SOURCE_TYPE
from facepipe.pipeline.report_seal import BLANK, SEAL, sealed
from facepipe.pipeline.reproduce import compare_frames, reproduce
from facepipe.pipeline.sidecar import read_sidecar, sidecar_path
from facepipe.pipeline.verify import Verification, verify_output
from facepipe.video import told_source_type
from facepipe.workers.local import LocalExecutor
from media import portraits, synthetic, xmp
from media.boxes import with_boxes
from media.certificates import Signer, signer

QUICK = ("output.codec=libx264", "output.preset=ultrafast", "detect.every=10", "span_seconds=0.4")


def settings(*assignments: str, **overrides: object) -> Settings:
    return load_settings(
        assignments=["workers=1", *QUICK, *assignments],
        overrides={key.replace("__", "."): value for key, value in overrides.items()},
    )


def marked_source(path: Path) -> Path:
    """Two faces for ten frames, with an XMP packet as an editor writes it."""
    boxes = [((), xmp.in_uuid(xmp.PACKET))] if path.suffix == ".mp4" else []
    return with_boxes(path, lambda to: portraits.video(to, frames=10), *boxes)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    pytest.importorskip("c2pa")
    return signer(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An unsigned output beside its source and its report."""
    folder = tmp_path_factory.mktemp("done")
    enhance(marked_source(folder / "in.mp4"), folder / "out.mp4", settings())
    return folder / "out.mp4"


def signed(folder: Path, keys: Signer, name: str) -> Path:
    source = marked_source(folder / f"in{Path(name).suffix}")
    how = settings(sign__key=str(keys.key), sign__certificate=str(keys.certificates))
    enhance(source, folder / name, how)
    return folder / name


def states(found: Verification) -> dict[str, str]:
    return {check.what: check.state for check in found.checks}


def flipped(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def copied(output: Path, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for path in output.parent.iterdir():
        if path.is_file():
            shutil.copy2(path, folder / path.name)
    return folder / output.name


def test_the_source_s_xmp_is_kept_and_added_to(done: Path) -> None:
    (packet,) = xmp.packets_in(done)["uuid"]
    assert told_source_type(done) == SOURCE_TYPE
    assert b"seven &amp; eight" in packet
    assert b"the yard" in packet


def test_the_same_bytes_with_two_workers_and_after_a_stop(done: Path, tmp_path: Path) -> None:
    source = done.with_name("in.mp4")
    two = settings("workers=2")
    enhance(source, tmp_path / "out.mp4", two)
    assert (tmp_path / "out.mp4").read_bytes() == done.read_bytes()
    first, second = (json.loads(sidecar_path(path).read_text()) for path in
                     (done, tmp_path / "out.mp4"))  # fmt: skip
    first["settings"]["workers"] = second["settings"]["workers"]
    first["report_sha256"] = second["report_sha256"]
    assert first == second


def test_a_video_without_a_face_is_not_marked(tmp_path: Path) -> None:
    source = synthetic.plain(tmp_path / "in.mp4")
    enhance(source, tmp_path / "out.mp4", settings("output.scale=2"))
    assert told_source_type(tmp_path / "out.mp4") is None
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert "comment" not in container.metadata


def test_what_was_delivered_is_intact(done: Path) -> None:
    found = verify_output(done)
    assert found.verdict == "intact"
    assert states(found) == {
        "report": "ok", "output": "ok", "manifest": "unchecked", "mark": "ok", "source": "ok",
    }  # fmt: skip
    assert verify_output(sidecar_path(done)).checks == found.checks


@pytest.mark.parametrize("where", [0.0, 0.3, 0.6, 0.999])
def test_one_changed_byte_of_the_video_is_found(where: float, done: Path, tmp_path: Path) -> None:
    output = copied(done, tmp_path / "copy")
    flipped(output, int(where * output.stat().st_size))
    assert states(verify_output(output))["output"] == "failed"


def test_each_changed_byte_of_the_report_is_found(done: Path, tmp_path: Path) -> None:
    output = copied(done, tmp_path / "copy")
    report = sidecar_path(output)
    whole = report.read_bytes()
    for at in [*range(0, len(whole), len(whole) // 40), len(whole) - 40, len(whole) - 1]:
        flipped(report, at)
        assert verify_output(output).verdict == "changed", at
        report.write_bytes(whole)
    assert verify_output(output).verdict == "intact"


def test_a_manifest_in_the_video(keys: Signer, tmp_path: Path) -> None:
    output = signed(tmp_path, keys, "out.mp4")
    report = read_sidecar(sidecar_path(output))
    assert report.output.manifest is not None
    assert report.output.manifest.embedded
    assert "key.pem" not in sidecar_path(output).read_text()
    found = states(verify_output(output))
    assert found["manifest"] == found["report, as signed"] == found["output"] == "ok"
    assert found["signer"] == "unchecked"
    assert states(verify_output(output, trust=keys.root))["signer"] == "ok"
    with av.open(str(output)) as container:
        assert len(list(container.decode(video=0))) == 10
    data = output.read_bytes()
    begin = data.index(b"jumb")
    flipped(output, begin + 200)
    found = states(verify_output(output))
    assert found["output"] == found["manifest"] == "failed"


def test_a_report_made_anew_is_not_what_was_signed(keys: Signer, tmp_path: Path) -> None:
    from facepipe.pipeline.report_seal import BLANK, SEAL, sealed

    output = signed(tmp_path, keys, "out.mp4")
    told = json.loads(sidecar_path(output).read_text())
    told["faces_enhanced"] = 1
    told[SEAL] = BLANK
    sidecar_path(output).write_text(sealed(json.dumps(told, indent=1) + "\n"))
    found = states(verify_output(output))
    assert (found["report"], found["report, as signed"]) == ("ok", "failed")


def test_a_manifest_beside_what_has_no_place_for_it(keys: Signer, tmp_path: Path) -> None:
    output = signed(tmp_path, keys, "out.mkv")
    manifest = output.with_name(output.name + MANIFEST_SUFFIX)
    found = states(verify_output(output))
    assert found["manifest"] == found["manifest file"] == found["report, as signed"] == "ok"
    whole = manifest.read_bytes()
    for at in (0, 300, len(whole) // 2, len(whole) - 1):
        flipped(manifest, at)
        assert verify_output(output).verdict == "changed", at
        manifest.write_bytes(whole)
    manifest.unlink()
    assert states(verify_output(output))["manifest"] == "failed"


def test_a_photograph_is_signed(keys: Signer, tmp_path: Path) -> None:
    scene = cv2.cvtColor(portraits.scene(0), cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(tmp_path / "in.jpg"), scene, [cv2.IMWRITE_JPEG_QUALITY, 95])
    how = settings(sign__key=str(keys.key), sign__certificate=str(keys.certificates))
    enhance(tmp_path / "in.jpg", tmp_path / "out.jpg", how)
    found = states(verify_output(tmp_path / "out.jpg"))
    assert set(found.values()) == {"ok", "unchecked"}
    assert found["manifest"] == found["mark"] == found["report, as signed"] == "ok"
    again = reproduce(tmp_path / "out.jpg")
    assert (again.is_same, again.frames, again.same_file) == (True, 1, False)


def test_keys_are_refused_before_the_work(keys: Signer, tmp_path: Path) -> None:
    source = marked_source(tmp_path / "in.mp4")
    other = signer(tmp_path / "other")
    how = settings(sign__key=str(other.key), sign__certificate=str(keys.certificates))
    with pytest.raises(UsageError, match="another key than --sign-key"):
        enhance(source, tmp_path / "out.mp4", how)
    with pytest.raises(UsageError, match="go together"):
        enhance(source, tmp_path / "out.mp4", settings(sign__key=str(other.key)))
    assert not (tmp_path / "out.mp4").exists()


def test_reproduced_to_the_byte(done: Path) -> None:
    found = reproduce(done, workers=1)
    assert (found.is_same, found.same_file, found.frames) == (True, True, 10)


def test_frames_are_compared_where_files_differ(done: Path, tmp_path: Path) -> None:
    report = read_sidecar(sidecar_path(done))
    remuxed, other = tmp_path / "remuxed.mp4", tmp_path / "other.mp4"
    with av.open(str(done)) as given, av.open(str(remuxed), "w") as out:
        video = out.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(given.streams.video[0]):
            if packet.size:
                packet.stream = video
                out.mux(packet)
    same = compare_frames(done, remuxed, report)
    assert (same.is_same, same.same_file, same.frames) == (True, False, 10)
    enhance(done.with_name("in.mp4"), other, settings("restore.strength=0.5"))
    differs = compare_frames(done, other, report)
    assert (differs.differing, differs.first, differs.frames) == (10, 0, 10)
    assert differs.largest > 1


def test_an_edited_analysis_is_needed_again(tmp_path: Path) -> None:
    source, told = marked_source(tmp_path / "in.mp4"), tmp_path / "found.json"
    analyze(source, told, settings())
    edited = json.loads(told.read_text())
    edited["tracks"][0]["enhance"] = False
    told.write_text(json.dumps(edited))
    render(source, told, tmp_path / "out.mp4", settings())
    assert reproduce(tmp_path / "out.mp4", workers=1).same_file
    told.write_text(told.read_text() + " ")
    with pytest.raises(InputError, match="another file than the report names"):
        reproduce(tmp_path / "out.mp4")
    told.unlink()
    with pytest.raises(InputError, match="--analysis FILE names it"):
        reproduce(tmp_path / "out.mp4")


def test_reproduction_asks_for_the_right_source(done: Path, tmp_path: Path) -> None:
    output = copied(done, tmp_path / "copy")
    output.with_name("in.mp4").unlink()
    with pytest.raises(InputError, match="--source FILE names it"):
        reproduce(output)
    with pytest.raises(InputError, match="is another file than the report names"):
        reproduce(output, source=output)
    flipped(sidecar_path(output), 40)
    with pytest.raises(InputError, match=r"changed since it was written|no valid report"):
        reproduce(output, source=done.with_name("in.mp4"))


@pytest.mark.parametrize(
    ("path", "value", "fault"),
    [
        (("source", "name"), "../in.mp4", "names a file in another folder"),
        (("source", "name"), "C:\\in.mp4", "names a file in another folder"),
        (("settings", "output", "options"), {"x264-params": "dump-yuv=a"}, "output.options"),
        (("settings", "limits", "hours"), 1e6, "limits"),
        (("settings", "restore", "restorer"), "/tmp/a.onnx", "restore.restorer"),
        (("settings", "detect", "pack"), "/tmp", "detect.pack"),
    ],
)
def test_a_report_of_a_stranger_reaches_no_other_file(
    path: tuple[str, ...], value: object, fault: str, done: Path, tmp_path: Path
) -> None:
    output = copied(done, tmp_path / "copy")
    told = json.loads(sidecar_path(output).read_text())
    inner = told
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    told[SEAL] = BLANK  # anybody can seal
    sidecar_path(output).write_text(sealed(json.dumps(told, indent=1) + "\n"))
    with pytest.raises(InputError, match=fault):
        reproduce(output)


def run(*arguments: object) -> tuple[int, str, object]:
    made = CliRunner().invoke(app, [str(one) for one in arguments])
    return made.exit_code, made.stdout, made.exception


def told_by(*arguments: object) -> dict[str, Any]:
    """The object that a command prints for programs."""
    command = [sys.executable, "-m", "facepipe", *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    told: dict[str, Any] = json.loads(done.stdout)
    assert told["exit_code"] == done.returncode
    return told


def test_the_commands(done: Path, tmp_path: Path) -> None:
    code, text, _ = run("verify", done)
    assert code == 0
    assert text.startswith(f"{done}: intact\n  ok           report: ")
    assert "not checked  manifest: out.mp4 is not signed" in text
    output = copied(done, tmp_path / "copy")
    flipped(output, 5000)
    told = told_by("verify", output)
    assert (told["exit_code"], told["error"]["code"]) == (10, "verification")
    assert told["verdict"] == "changed"
    assert {one["what"] for one in told["checks"] if one["state"] == "failed"} == {"output"}
    alone = tmp_path / "alone.mp4"
    shutil.copy(done.with_name("in.mp4"), alone)
    _, text, error = run("verify", alone)
    assert isinstance(error, VerificationError)
    assert "nothing to check" in text
    told = told_by("reproduce", done, "--workers", 1)
    assert told["exit_code"] == 0
    assert told["is_same"]


def test_a_batch_s_log(tmp_path: Path) -> None:
    sources, out = tmp_path / "in", tmp_path / "out"
    sources.mkdir()
    marked_source(sources / "a.mp4")
    cv2.imwrite(str(sources / "b.png"), np.zeros((40, 40, 3), np.uint8))
    (sources / "c.jpg").write_bytes(b"no image")
    executor = LocalExecutor(1)
    try:
        summary = run_batch([str(sources)], out, settings(), executor)
    finally:
        executor.stop()
    assert (summary.log_entries, summary.failed) == (4, 1)
    found = states(verify_batch(out))
    assert found == {
        "log": "ok", "end of the log": "ok", "a.mp4": "ok", "a.mp4.facepipe.json": "ok",
        "b.png": "ok", "c.jpg": "unchecked",
    }  # fmt: skip
    whole = (out / "facepipe-batch.log.jsonl").read_bytes()
    for change, what in _changes(out, whole):
        change()
        assert states(verify_batch(out))[what] == "failed"
        (out / "facepipe-batch.log.jsonl").write_bytes(whole)
    assert isinstance(run("verify", out)[2], VerificationError)


def _changes(out: Path, whole: bytes) -> list[tuple[Callable[[], object], str]]:
    log = out / "facepipe-batch.log.jsonl"
    lines = whole.splitlines(keepends=True)
    return [
        (lambda: flipped(log, 100), "log"),
        (lambda: log.write_bytes(b"".join([lines[0], *lines[2:]])), "log"),
        (lambda: log.write_bytes(b"".join(lines[:-1])), "end of the log"),
        (lambda: flipped(out / "b.png", 30), "b.png"),
    ]


def _corner(path: Path) -> list[NDArray[np.uint8]]:
    """The lower right corner of each frame, as grey."""
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    return [frame[-20:, -90:].astype(np.uint8) for frame in frames]


def test_the_label_is_in_what_shows_a_face_and_the_rest_is_copied(tmp_path: Path) -> None:
    source = portraits.visit(tmp_path / "in.mp4")
    common = ("output.quality=archive", "detect.every=2")
    enhance(source, tmp_path / "plain.mp4", settings(*common))
    enhance(source, tmp_path / "out.mp4", settings(*common, output__label=True))
    report = read_sidecar(sidecar_path(tmp_path / "out.mp4"))
    assert report.settings.output.label
    assert report.copied
    shown = [
        int(np.abs(a.astype(int) - b).max()) > 60
        for a, b in zip(_corner(tmp_path / "out.mp4"), _corner(tmp_path / "plain.mp4"), strict=True)
    ]
    tracks = [track for track in report.tracks if track.enhance]
    first = min(round(track.from_seconds * 25) for track in tracks)
    last = max(round(track.to_seconds * 25) for track in tracks)
    assert [n for n, one in enumerate(shown) if one] == list(range(first, last + 1))
    assert reproduce(tmp_path / "out.mp4", workers=2).same_file
