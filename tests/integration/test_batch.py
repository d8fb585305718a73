"""Whole batches: real videos and images, real workers, kills and hostile archives."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import fsspec
import numpy as np
import pytest

from facepipe.batch import images, session, videos
from facepipe.batch.archives import ArchiveWriter, Limits, Member, open_archive
from facepipe.batch.report import BatchSummary
from facepipe.batch.runner import run_batch
from facepipe.batch.session import BatchSettings
from facepipe.configs.settings import Settings, load_settings
from facepipe.errors import OutputError, UsageError
from facepipe.pipeline.stills import StillsResult, StillsTask, enhance_stills
from facepipe.workers.local import LocalExecutor
from media.portraits import portrait, video
from media.synthetic import video as plain_video


@pytest.fixture(scope="module")
def executor() -> Iterator[LocalExecutor]:
    with LocalExecutor(2) as made:
        yield made


def picture(path: Path, side: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.resize(portrait()[..., ::-1], (side, side), interpolation=3))
    return path


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    picture(folder / "a.jpg")
    picture(folder / "sub" / "b.png", 80)
    cv2.imwrite(str(folder / "wall.webp"), np.full((60, 60, 3), 90, np.uint8))
    video(folder / "sub" / "walk.mp4", frames=20)
    plain_video(folder / "plain.mp4", frames=10)
    (folder / "broken.mp4").write_text("no video")
    (folder / "broken.png").write_text("no picture")
    (folder / "notes.txt").write_text("notes")
    with zipfile.ZipFile(folder / "more.zip", "w") as archive:
        archive.write(folder / "a.jpg", "deep/a.jpg")
        archive.writestr("../out.png", b"x")
    return folder


@pytest.fixture(scope="module")
def finished(source: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, BatchSummary]:
    folder = tmp_path_factory.mktemp("results") / "out"
    with LocalExecutor(2) as executor:
        return folder, run_batch([str(source)], folder, Settings(), executor)


def report(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "facepipe-batch.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {f"{Path(row['source']).name}{row['member']}": row for row in rows}


def contents(folder: Path) -> dict[str, bytes]:
    """Every result by its name, but for reports and what is the batch's own."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    names = [path.relative_to(folder).as_posix() for path in paths]
    return {
        name: path.read_bytes()
        for name, path in zip(names, paths, strict=True)
        if not name.startswith((".", "facepipe-batch")) and not name.endswith(".facepipe.json")
    }


def test_every_item_has_its_end(finished: tuple[Path, BatchSummary]) -> None:
    folder, summary = finished
    states = {name: row["state"] for name, row in report(folder).items()}
    assert states == {
        "a.jpg": "done",
        "b.png": "done",
        "wall.webp": "passed",
        "walk.mp4": "done",
        "plain.mp4": "passed",
        "broken.mp4": "failed",
        "broken.png": "failed",
        "more.zipdeep/a.jpg": "done",
    }
    assert summary.failed == 2
    assert summary.skipped == 2
    assert (folder / "sub" / "walk.mp4.facepipe.json").is_file()
    assert set(contents(folder)) == {
        *("a.jpg", "sub/b.png", "wall.webp", "sub/walk.mp4", "plain.mp4", "more/deep/a.jpg")
    }


def test_reports_agree_and_say_why(finished: tuple[Path, BatchSummary]) -> None:
    folder, _ = finished
    told = json.loads((folder / "facepipe-batch.json").read_text())
    assert {row["source"] for row in told["items"]} == {
        row["source"] for row in report(folder).values()
    }
    assert told["counts"]["failed"]["items"] == 2
    assert len(told["skipped"]) == 2
    rows = report(folder)
    assert "is a text and no video" in rows["broken.mp4"]["reason"]
    assert "not an image" in rows["broken.png"]["reason"]
    assert rows["wall.webp"]["reason"] == "no face was found"
    journal = (folder / ".facepipe-batch" / "journal.jsonl").read_text().splitlines()
    assert any(json.loads(line)["said"] == "video done" for line in journal)


def test_a_image_without_a_face_is_copied_to_the_byte(
    source: Path, finished: tuple[Path, BatchSummary]
) -> None:
    assert contents(finished[0])["wall.webp"] == (source / "wall.webp").read_bytes()


def test_a_second_run_works_on_the_failed_alone(
    source: Path, finished: tuple[Path, BatchSummary], executor: LocalExecutor
) -> None:
    folder, _ = finished
    before = contents(folder)
    again = run_batch([str(source)], folder, Settings(), executor)
    assert (again.worked_on, again.kept) == (2, 6)
    assert contents(folder) == before


def test_other_settings_are_another_batch(
    source: Path, finished: tuple[Path, BatchSummary], executor: LocalExecutor
) -> None:
    other = Settings.model_validate({"output": {"scale": 2}})
    with pytest.raises(UsageError, match="other settings"):
        run_batch([str(source)], finished[0], other, executor)


def test_files_of_others_are_not_touched(tmp_path: Path, executor: LocalExecutor) -> None:
    picture(tmp_path / "in" / "a.jpg")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.jpg").write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists already"):
        run_batch([str(tmp_path / "in")], tmp_path / "out", Settings(), executor)
    assert (tmp_path / "out" / "a.jpg").read_bytes() == b"mine"
    batch = BatchSettings(overwrite=True)
    run_batch([str(tmp_path / "in")], tmp_path / "out", Settings(), executor, batch=batch)
    assert (tmp_path / "out" / "a.jpg").read_bytes() != b"mine"


def test_a_place_that_cannot_be_written_fails_alone(
    tmp_path: Path, executor: LocalExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.jpg", "b.jpg"):
        picture(tmp_path / "in" / name)
    video(tmp_path / "in" / "c.mp4", frames=10)
    for name in ("a.jpg", "c.mp4"):
        (tmp_path / "out" / name / "full").mkdir(parents=True)
    batch = BatchSettings(overwrite=True)
    run = partial(run_batch, [str(tmp_path / "in")], tmp_path / "out", Settings(), batch=batch)
    assert run(executor).failed == 2
    states = {name: row["state"] for name, row in report(tmp_path / "out").items()}
    assert states == {"a.jpg": "failed", "b.jpg": "done", "c.mp4": "failed"}
    # The same on a disk that is full: no other item would fare better.
    (tmp_path / "in" / "c.mp4").unlink()
    monkeypatch.setattr(session, "_FULL", 2**80)
    with LocalExecutor(2) as another, pytest.raises(OutputError, match="the disk is full"):
        run(another)


def choke(task: StillsTask, progress: object) -> StillsResult:
    """Kills its worker where a picture is named so."""
    if any("deadly" in still.source for still in task.stills):
        os.kill(os.getpid(), signal.SIGKILL)
    return enhance_stills(task, lambda _: None)


def test_an_image_that_kills_its_worker_goes_through_as_it_is(
    tmp_path: Path, executor: LocalExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.jpg", "b.jpg", "deadly.jpg", "d.jpg"):
        picture(tmp_path / "in" / name)
    monkeypatch.setattr(images, "enhance_stills", choke)
    summary = run_batch([str(tmp_path / "in")], tmp_path / "out", Settings(), executor)
    rows = report(tmp_path / "out")
    states = [(name, row["state"]) for name, row in rows.items()]
    assert states == [
        ("a.jpg", "done"),
        ("b.jpg", "done"),
        ("d.jpg", "done"),
        ("deadly.jpg", "lost"),  # copied unchanged; the next run tries it again
    ]
    assert "a worker process died" in rows["deadly.jpg"]["reason"]
    assert contents(tmp_path / "out")["deadly.jpg"] == (tmp_path / "in/deadly.jpg").read_bytes()
    assert (summary.failed, summary.lost) == (0, 1)


def hostile(folder: Path) -> None:
    """Ten archives that mean no good, each with one honest picture where it can hold one."""
    good = picture(folder.parent / "good.png", 60).read_bytes()

    def zipped(name: str, *members: tuple[str, bytes]) -> Path:
        with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("good.png", good)
            for member, content in members:
                archive.writestr(member, content)
        return folder / name

    def tarred(name: str, *members: tarfile.TarInfo) -> None:
        with tarfile.open(folder / name, "w:gz" if name.endswith("gz") else "w") as archive:
            info = tarfile.TarInfo("good.png")
            info.size = len(good)
            archive.addfile(info, io.BytesIO(good))
            for member in members:
                archive.addfile(member, io.BytesIO(b"x" * member.size))

    folder.mkdir(parents=True)
    zipped("traversal.zip", ("../../evil.png", good), ("/evil.png", good), ("c:\\evil.png", good))
    link = tarfile.TarInfo("link.png")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    tarred("symlink.tar", link)
    zipped("bomb.zip", ("bomb.png", b"\0" * 200_000_000))
    zipped("nested.zip", ("inner.zip", zipped("inner.zip").read_bytes()))
    (folder / "inner.zip").unlink()
    whole = zipped("truncated.zip").read_bytes()
    (folder / "truncated.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.warns(UserWarning, match="Duplicate"):
        zipped("twice.zip", ("good.png", b"other"), ("GOOD.png", b"other"))
    zipped("names.zip", ("ünï/çödé-😀.png", good), ("x" * 4096 + ".png", good))
    locked = bytearray(zipped("locked.zip", ("secret.png", good)).read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        locked[locked.rindex(mark) + offset] |= 1
    (folder / "locked.zip").write_bytes(locked)
    (folder / "empty.zip").write_bytes(b"")
    (folder / "text.tar.gz").write_bytes(b"not an archive at all")


def test_hostile_archives(tmp_path: Path, executor: LocalExecutor) -> None:
    hostile(tmp_path / "sandbox" / "in")
    out = tmp_path / "sandbox" / "out"
    before = {path for path in tmp_path.rglob("*") if not path.is_relative_to(out)}
    summary = run_batch([str(tmp_path / "sandbox" / "in")], out, Settings(), executor)
    assert {path for path in tmp_path.rglob("*") if not path.is_relative_to(out)} == before
    honest = {name for name in contents(out) if name.endswith("/good.png")}
    assert honest == {
        f"{name}/good.png"
        for name in ("bomb", "locked", "names", "nested", "symlink", "traversal", "twice")
    }
    assert "names/ünï/çödé-😀.png" in contents(out)
    told = json.loads((out / "facepipe-batch.json").read_text())
    refused = {(Path(one["source"].split(": ")[0]).name) for one in told["skipped"]}
    failed = {Path(row["source"]).name for row in told["items"] if row["state"] == "failed"}
    assert refused | failed == {path.name for path in (tmp_path / "sandbox" / "in").iterdir()}
    assert all(one["reason"] for one in told["skipped"])
    assert summary.failed == len(failed)


def test_a_killed_batch_goes_on(
    source: Path, tmp_path: Path, finished: tuple[Path, BatchSummary]
) -> None:
    """By SIGKILL, as soon as there is something to keep; the result is that of a whole run."""
    out = tmp_path / "out"
    command = [sys.executable, "-m", "facepipe", "batch", str(source), "-o", str(out)]
    command += ["--workers", "1"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not contents(out) if out.exists() else True:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    last = subprocess.run(command, capture_output=True, text=True, check=False)
    assert last.returncode == 8, last.stderr
    assert contents(out) == contents(finished[0])


@pytest.mark.parametrize("name", ["more.zip", "more.tar.gz"])
def test_an_archive_comes_out_as_one(tmp_path: Path, executor: LocalExecutor, name: str) -> None:
    (tmp_path / "in").mkdir()
    face, wall = picture(tmp_path / "face.jpg"), tmp_path / "wall.png"
    cv2.imwrite(str(wall), np.full((60, 60, 3), 90, np.uint8))
    with ArchiveWriter(tmp_path / "in" / name) as writer:
        for member, path in (("x/face.jpg", face), ("wall.png", wall)):
            writer.add(member, path.read_bytes(), 1.6e9)
        writer.add("broken.png", b"no picture")
        writer.add("notes.txt", b"notes")
    batch = BatchSettings(pack=True)
    run = partial(run_batch, [str(tmp_path / "in")], tmp_path / "out", Settings(), executor)
    assert run(batch=batch).failed == 1
    assert set(contents(tmp_path / "out")) == {name, f"{name}.facepipe.jsonl"}
    with open_archive(tmp_path / "out" / name) as archive:
        members = [one for one in archive.members(Limits()) if isinstance(one, Member)]
        made = {one.name: archive.read(one) for one in members}
    assert list(made) == ["x/face.jpg", "wall.png", "broken.png", "notes.txt"]
    assert made["wall.png"] == wall.read_bytes()
    assert made["notes.txt"] == b"notes"
    assert made["broken.png"] == b"no picture"
    assert made["x/face.jpg"] != face.read_bytes()
    assert members[0].modified == 1.6e9
    (told,) = (tmp_path / "out" / f"{name}.facepipe.jsonl").read_text().splitlines()
    assert json.loads(told)["output"]["name"] == "face.jpg"
    before = contents(tmp_path / "out")
    again = run(batch=batch)
    assert (again.worked_on, again.kept) == (1, 2)
    assert contents(tmp_path / "out") == before


@pytest.mark.parametrize("dates", ["source", "now"])
@pytest.mark.parametrize("pack", [False, True], ids=["as files", "as an archive"])
def test_results_have_the_dates_of_their_sources(
    tmp_path: Path, executor: LocalExecutor, dates: str, pack: bool
) -> None:
    (tmp_path / "in").mkdir()
    wall = tmp_path / "in" / "wall.png"
    cv2.imwrite(str(wall), np.full((60, 60, 3), 90, np.uint8))
    os.utime(wall, (1.4e9, 1.4e9))
    with ArchiveWriter(tmp_path / "in" / "more.zip") as writer:
        writer.add("wall.png", wall.read_bytes(), 1.6e9)
    settings = load_settings(assignments=[f"output.dates={dates}"])
    out = tmp_path / "out"
    run_batch([str(tmp_path / "in")], out, settings, executor, batch=BatchSettings(pack=pack))
    found = [(out / "wall.png").stat().st_mtime]
    if pack:
        with open_archive(out / "more.zip") as archive:
            found += [one.modified for one in archive.members(Limits()) if isinstance(one, Member)]
    else:
        found.append((out / "more" / "wall.png").stat().st_mtime)
    kept = [date in (1.4e9, 1.6e9) for date in found]
    assert kept == [dates == "source"] * 2


def test_a_damaged_archive_comes_out_as_far_as_it_can_be_read(
    tmp_path: Path, executor: LocalExecutor
) -> None:
    (tmp_path / "in").mkdir()
    face = picture(tmp_path / "face.png").read_bytes()
    with ArchiveWriter(tmp_path / "in" / "half.tar") as writer:
        for name in ("one.png", "two.png", "three.png"):
            writer.add(name, face)
    whole = (tmp_path / "in" / "half.tar").read_bytes()
    (tmp_path / "in" / "half.tar").write_bytes(whole[: len(whole) // 2])
    batch = BatchSettings(pack=True)
    run_batch([str(tmp_path / "in")], tmp_path / "out", Settings(), executor, batch=batch)
    with open_archive(tmp_path / "out" / "half.tar") as archive:
        names = [one.name for one in archive.members(Limits()) if isinstance(one, Member)]
    assert names == ["one.png"]
    told = json.loads((tmp_path / "out" / "facepipe-batch.json").read_text())
    assert told["items"][0]["output"] == "half.tar/one.png"
    assert "half.tar" in told["skipped"][0]["source"]


def test_an_archive_of_others_is_not_touched(tmp_path: Path, executor: LocalExecutor) -> None:
    for folder in ("in", "out"):
        (tmp_path / folder).mkdir()
    with ArchiveWriter(tmp_path / "in" / "a.zip") as writer:
        writer.add("face.png", picture(tmp_path / "face.png").read_bytes())
    (tmp_path / "out" / "a.zip").write_bytes(b"mine")
    batch = BatchSettings(pack=True)
    with pytest.raises(OutputError, match="exists already"):
        run_batch([str(tmp_path / "in")], tmp_path / "out", Settings(), executor, batch=batch)
    assert (tmp_path / "out" / "a.zip").read_bytes() == b"mine"


@pytest.mark.parametrize("overwrite", [False, True])
def test_sources_are_never_written_to(
    tmp_path: Path, executor: LocalExecutor, overwrite: bool
) -> None:
    before = picture(tmp_path / "a.jpg").read_bytes()
    batch = BatchSettings(overwrite=overwrite)
    with pytest.raises(OutputError, match="is the source itself"):
        run_batch([str(tmp_path)], tmp_path, Settings(), executor, batch=batch)
    assert (tmp_path / "a.jpg").read_bytes() == before


def test_a_video_that_brings_a_fault_of_ours_to_light_stops_no_other(
    tmp_path: Path, executor: LocalExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.mp4", "b.mp4"):
        plain_video(picture(tmp_path / "in" / "c.jpg").with_name(name), frames=5)
    real = videos.enhance

    def faulty(source: Path, *args: Any, **how: Any) -> Any:
        if source.name == "a.mp4":
            raise IndexError("nobody thought of this")
        return real(source, *args, **how)

    monkeypatch.setattr(videos, "enhance", faulty)
    encoded = Settings(output={"copy_unchanged": False})  # type: ignore[arg-type]
    assert run_batch([str(tmp_path / "in")], tmp_path / "out", encoded, executor).failed == 1
    rows = report(tmp_path / "out")
    assert rows["a.mp4"]["reason"] == "IndexError: nobody thought of this"
    assert rows["b.mp4"]["state"] == "passed"
    said = (tmp_path / "out" / ".facepipe-batch" / "journal.jsonl").read_text().splitlines()
    told = [json.loads(line) for line in said]
    assert any("Traceback" in line.get("traceback", "") for line in told)
    spans = [line for line in told if line["said"] == "task done" and line.get("span") == 0]
    assert {line["stage"] for line in spans} == {"analyze_span", "render_span"}
    assert all(isinstance(line["item"], int) for line in spans)


def test_from_addresses_to_addresses(
    source: Path, finished: tuple[Path, BatchSummary], tmp_path: Path, executor: LocalExecutor
) -> None:
    memory = fsspec.filesystem("memory")
    for name in ("a.jpg", "sub/walk.mp4", "broken.png"):
        memory.pipe(f"/batch-in/{name}", (source / name).read_bytes())
    batch = BatchSettings(address="memory://batch-out")
    run = partial(run_batch, ["memory://batch-in"], tmp_path / "work", Settings(), executor)
    assert run(batch=batch).failed == 1
    for name in ("a.jpg", "sub/walk.mp4"):
        assert memory.cat(f"/batch-out/{name}") == contents(finished[0])[name]
    assert memory.exists("/batch-out/sub/walk.mp4.facepipe.json")
    assert memory.exists("/batch-out/facepipe-batch.csv")
    assert not contents(tmp_path / "work")
    again = run(batch=batch)
    assert (again.worked_on, again.kept) == (1, 2)


def test_the_command_line(source: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "facepipe",
        "batch",
        str(source),
        "-o",
        str(tmp_path / "o"),
    ]
    plan = subprocess.run([*command, "--dry-run"], capture_output=True, text=True, check=True)
    assert "3 videos of 0.0 minutes, 5 photographs" in plan.stdout
    assert "of one core without faces, without 1 videos of unknown length" in plan.stdout
    assert not (tmp_path / "o").exists()
    gone = subprocess.run(
        [*command[:4], str(tmp_path / "gone"), *command[5:]],
        capture_output=True,
        text=True,
        check=False,
    )
    assert gone.returncode == 3
    assert "does not exist" in gone.stderr
