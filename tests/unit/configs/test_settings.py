"""Settings: what wins over what, and how every mistake is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from facepipe.configs.settings import PROFILES, Settings, load_settings
from facepipe.errors import UsageError


def test_the_balanced_profile_is_the_defaults() -> None:
    assert load_settings() == Settings()


@pytest.mark.parametrize("profile", PROFILES)
def test_every_shipped_profile_is_valid(profile: str) -> None:
    assert load_settings(profile=profile).output.scale == 1


def test_later_sources_win(tmp_path: Path) -> None:
    config = tmp_path / "own.toml"
    config.write_text("[detect]\nscore = 0.5\nevery = 3\nmin_face = 20\n")
    settings = load_settings(
        profile="fast",
        config=config,
        assignments=["detect.score=0.6", "output.options.qp=0"],
        overrides={"detect.score": 0.8, "detect.every": None},
    )
    assert settings.detect.score == 0.8
    assert settings.detect.every == 3
    assert settings.detect.enlarge == 1  # from the profile
    assert settings.output.options == {"qp": "0"}


def test_a_bare_word_is_a_string() -> None:
    assert load_settings(assignments=["output.codec=ffv1"]).output.codec == "ffv1"


@pytest.mark.parametrize(
    ("assignment", "reason"),
    [
        ("detect.scor=0.5", "--set detect.scor: unknown setting; known here: detector, enlarge"),
        (
            "colour=red",
            "--set colour: unknown setting; known here: choose, detect, limits, link, output",
        ),
        ("output.scale=3", "^--set output.scale must be 1, 2 or 4, not 3$"),
        ("output={scale=3}", "^--set output.scale must be 1, 2 or 4, not 3$"),
        ("detect.score=2", "^--set detect.score must be a number from 0 to 1, not 2$"),
        ("detect=2", "^--set detect must be a section, not 2$"),
        ("output.options=2", "^--set output.options must be a table, not 2$"),
        ("choose.tracks=3,x", "^--set choose.tracks must be a list of whole numbers, not 'x'$"),
        ("detect.score.deep=2", "score is a value, not a section"),
        ("detect.score", "--set wants key=value"),
        ("=1", "--set wants key=value"),
    ],
)
def test_a_bad_assignment_is_refused(assignment: str, reason: str) -> None:
    assignments = ["detect.score=0.5"] * ("deep" in assignment) + [assignment]
    with pytest.raises(UsageError, match=reason):
        load_settings(assignments=assignments)


def test_the_end_lies_after_the_start() -> None:
    with pytest.raises(UsageError, match=r"^--end must lie after the start \(3\), not 2\.0$"):
        load_settings(overrides={"output.start": 3.0, "output.end": 2.0})


def test_an_unknown_profile_is_refused() -> None:
    with pytest.raises(UsageError, match="balanced, fast, thorough, strict, recall"):
        load_settings(profile="best")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "no such config file"),
        (b"a = = 1", "not valid TOML"),
        (b"\xff\xfe", "cannot be read"),
    ],
)
def test_a_bad_config_file_is_refused(tmp_path: Path, content: bytes | None, reason: str) -> None:
    config = tmp_path / "bad.toml"
    if content is not None:
        config.write_bytes(content)
    with pytest.raises(UsageError, match=reason):
        load_settings(config=config)


def test_a_config_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load_settings(config=tmp_path)


def test_a_profile_names_a_speed_and_no_preset_of_one_encoder() -> None:
    assert load_settings(profile="fast").output.speed == "fast"
    assert load_settings(profile="thorough").output.speed == "slow"
    assert load_settings(profile="fast", overrides={"output.preset": "p7"}).output.preset == "p7"


@pytest.mark.parametrize(
    ("overrides", "assignments", "reason"),
    [
        ({}, [], "own.toml: detect.score must be a number from 0 to 1, not 2"),
        ({}, ["detect.score=3"], "--set detect.score must be a number from 0 to 1, not 3"),
        ({"detect.score": 4}, ["detect.score=3"], "--score must be a number from 0 to 1, not 4"),
    ],
)
def test_a_refused_setting_is_named_where_it_was_given(
    overrides: dict[str, object], assignments: list[str], reason: str, tmp_path: Path
) -> None:
    config = tmp_path / "own.toml"
    config.write_text("[detect]\nscore = 2\n")
    with pytest.raises(UsageError) as refused:
        load_settings(config=config, assignments=assignments, overrides=overrides)
    assert str(refused.value).removeprefix(f"{tmp_path}/") == reason


def test_infinity_is_no_time() -> None:
    with pytest.raises(UsageError, match=r"^--end must be a number above 0, .*, not inf$"):
        load_settings(overrides={"output.end": float("inf")})


@pytest.mark.parametrize("options", [{"a": "\ud800"}, {"\udcff": "1"}, {"a": "x\0y"}])
def test_options_that_are_no_text_are_refused(options: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=r"output\.options must be text in UTF-8"):
        load_settings(overrides={"output.options": options})
