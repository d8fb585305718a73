from __future__ import annotations

from pathlib import Path

import pytest

from facepipe.configs.settings import load_settings
from facepipe.errors import InputError, UsageError
from facepipe.pipeline.analysis_file import read_analysis, write_analysis
from facepipe.ui.library import analysis_path, settings_path
from facepipe.ui.project import KEYS, Project


def enhanced(video: Path) -> dict[int, bool]:
    """What the analysis beside a video says of each track."""
    return {track.number: track.enhance for track in read_analysis(analysis_path(video)).tracks}


def test_a_video_without_analysis_has_no_tracks(video: Path) -> None:
    opened = Project(video).opened()
    assert opened.found is None
    assert opened.tracks == ()
    assert len(opened.info.pts) == 40


def test_tracks_are_struck_and_taken_in_the_analysis(searched: Path) -> None:
    project = Project(searched)
    assert enhanced(searched) == {1: True, 2: False}
    project.set_enhanced([1], enhance=False)
    project.set_enhanced([2], enhance=True)
    assert enhanced(searched) == {1: False, 2: True}
    assert {t.number: t.enhance for t in project.opened().tracks} == {1: False, 2: True}
    project.set_enhanced([2], enhance=False)
    track = project.opened().track(2)
    assert track is not None
    assert track.reason == "score 0.649 below 0.7"  # it is still known


def test_unknown_tracks_are_refused(searched: Path) -> None:
    with pytest.raises(UsageError, match="no track 3"):
        Project(searched).set_enhanced([1, 3], enhance=False)
    assert enhanced(searched) == {1: True, 2: False}


def test_tracks_are_not_struck_before_the_search(video: Path) -> None:
    with pytest.raises(UsageError, match="no faces were searched"):
        Project(video).set_enhanced([1], enhance=False)


def test_what_others_write_is_seen(searched: Path) -> None:
    project = Project(searched)
    assert len(project.opened().tracks) == 2
    found = read_analysis(analysis_path(searched))
    write_analysis(
        type(found)(**{**vars(found), "tracks": found.tracks[:1]}), project.analysis_path
    )
    settings_path(searched).write_text("output.scale = 2\n")
    assert len(project.opened().tracks) == 1
    assert project.opened().settings.output.scale == 2


def test_an_analysis_of_another_video_is_refused(searched: Path) -> None:
    text = analysis_path(searched).read_text()
    digest = read_analysis(analysis_path(searched)).source_sha256
    analysis_path(searched).write_text(text.replace(digest, "0" * 64))
    with pytest.raises(InputError, match="belongs to another video"):
        Project(searched).opened()


def test_settings_are_what_the_command_line_reads(searched: Path) -> None:
    project = Project(searched)
    project.assign({"restore.strength": 0.5, "output.scale": 2, "restore.restorer": "bicubic"})
    settings = load_settings(config=settings_path(searched))
    assert settings == project.opened().settings
    assert (settings.restore.strength, settings.output.scale) == (0.5, 2)
    project.assign({"restore.strength": None, "output.scale": None})
    settings = load_settings(config=settings_path(searched))
    assert (settings.restore.strength, settings.output.scale) == (1.0, 1)
    assert settings.restore.restorer == "bicubic"


def test_what_else_is_in_the_settings_file_stays(searched: Path) -> None:
    file = settings_path(searched)
    file.write_text(
        "# mine\nspan_seconds = 3.0  # short ones\n\n[restore]\nstrength = 0.9  # as we agreed\n"
        'device = "cpu"\n\n[output]\nscale = 2\n'
    )
    project = Project(searched)
    assert project.other_settings() == ["span_seconds = 3.0", "restore.device = 'cpu'"]
    project.assign({"restore.strength": 0.4, "output.scale": None})
    assert file.read_text() == (
        "# mine\nspan_seconds = 3.0  # short ones\n\n[restore]\nstrength = 0.4  # as we agreed\n"
        'device = "cpu"\n\n'
    )


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"restore.strength": 2}, "from 0 to 1"),
        ({"restore.strength": "much"}, "a number"),
        ({"output.scale": 3}, "1, 2 or 4"),
        ({"restore.restorer": "nothing"}, "nothing"),
        ({"choose.region": [0, 0, 0, 5]}, "width and a height"),
        ({"choose.region": [9000, 0, 5, 5]}, "outside the video"),
        ({"output.codec": "ffv1"}, "does not set"),
        ({"detect": 1}, "does not set"),
    ],
)
def test_a_setting_that_is_refused_changes_nothing(
    searched: Path, values: dict[str, object], fault: str
) -> None:
    project = Project(searched)
    project.assign({"restore.fidelity": 0.6})
    before = settings_path(searched).read_bytes()
    with pytest.raises(UsageError, match=fault):
        project.assign(values)
    assert settings_path(searched).read_bytes() == before


def test_a_damaged_settings_file_is_not_written_over(searched: Path) -> None:
    settings_path(searched).write_text("not = [toml")
    with pytest.raises(UsageError, match="not valid TOML"):
        Project(searched).assign({"restore.fidelity": 0.6})
    assert settings_path(searched).read_text() == "not = [toml"


def test_faces_outside_a_region_are_left_as_they_are(searched: Path) -> None:
    project = Project(searched)
    project.assign({"choose.region": [120, 0, 120, 136]})
    track = project.opened().track(1)
    assert track is not None
    assert (track.enhance, track.reason) == (False, "outside --region")
    assert enhanced(searched)[1]  # the analysis is as it was
    project.assign({"choose.region": None})
    track = project.opened().track(1)
    assert track is not None
    assert track.enhance


def test_all_keys_are_settings() -> None:
    for key in KEYS:
        load_settings(assignments=[f"{key}=1"] if key.endswith("scale") else [])
        section, _, name = key.partition(".")
        assert hasattr(getattr(load_settings(), section), name)


def test_options_of_the_encoder_are_not_taken_from_a_file_beside_the_video(video: Path) -> None:
    """Some of them make it write other files."""
    settings_path(video).write_text('[output]\noptions = {x264-params = "dump-yuv=a"}\n')
    with pytest.raises(UsageError, match="which can make an encoder write files"):
        Project(video).opened()
