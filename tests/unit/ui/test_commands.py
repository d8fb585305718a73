from __future__ import annotations

from pathlib import Path

import pytest

from facepipe.ui.commands import Command, Progress, arguments
from facepipe.ui.library import analysis_path, settings_path


def test_the_commands_are_what_one_would_type(tmp_path: Path) -> None:
    video, target = tmp_path / "-v.mp4", tmp_path / "-v-enhanced.mp4"
    analysis = analysis_path(video)
    assert arguments("analyze", video, analysis) == [
        "analyze", f"--output={analysis}", "--overwrite", "--", str(video),
    ]  # fmt: skip
    settings_path(video).write_text("")
    assert arguments("render", video, target) == [
        "render", f"--output={target}", f"--report={tmp_path / '-v-enhanced.html'}",
        f"--config={settings_path(video)}", "--", str(video), str(analysis),
    ]  # fmt: skip


@pytest.mark.long
def test_a_command_says_how_far_it_is_and_what_it_found(video: Path) -> None:
    seen: list[tuple[int, int]] = []
    command = Command(arguments("analyze", video, analysis_path(video)), video.parent)
    code, message = command.wait(lambda done, total: seen.append((done, total)))
    assert code == 0
    assert seen[-1] == (40, 40)
    assert "2 tracks" in message
    assert analysis_path(video).is_file()


def test_a_command_that_fails_says_why(video: Path) -> None:
    video.write_bytes(b"no video")
    command = Command(arguments("analyze", video, analysis_path(video)), video.parent)
    code, message = command.wait(lambda *_: None)
    assert code == 3
    assert video.name in message
    assert "Traceback" not in message
    assert "facepipe:" not in message


def test_no_module_is_taken_from_the_folder_of_the_video(video: Path) -> None:
    """A folder of videos holds what others made."""
    made = video.with_name("made")
    for name in ("typer", "facepipe", "numpy"):
        video.with_name(f"{name}.py").write_text(f"open({str(made)!r}, 'w')")
    video.write_bytes(b"no video")
    Command(arguments("analyze", video, analysis_path(video)), video.parent).wait(lambda *_: None)
    assert not made.exists()


def test_the_time_that_is_left_follows_the_rate() -> None:
    progress = Progress()
    assert progress.seconds_left(0, 100, 0.0) is None
    assert progress.seconds_left(10, 100, 1.0) is None  # too early to say
    assert progress.seconds_left(20, 100, 4.0) == pytest.approx(16)
    assert progress.seconds_left(100, 100, 20.0) == 0


def test_work_that_was_kept_does_not_count_as_speed() -> None:
    progress = Progress()
    progress.seconds_left(90, 100, 0.0)
    assert progress.seconds_left(92, 100, 4.0) == pytest.approx(16)


def test_only_the_last_minute_counts() -> None:
    progress = Progress()
    for second in range(100):  # slow at first, then ten times as fast
        left = progress.seconds_left(second if second < 30 else 30 + 10 * (second - 30), 1000,
                                     float(second))  # fmt: skip
    assert left == pytest.approx((1000 - 720) / 10, rel=0.05)


def test_a_second_pass_begins_anew() -> None:
    progress = Progress()
    progress.seconds_left(0, 100, 0.0)
    progress.seconds_left(100, 100, 10.0)
    assert progress.seconds_left(0, 100, 11.0) is None
    assert progress.seconds_left(50, 100, 16.0) == pytest.approx(5)
