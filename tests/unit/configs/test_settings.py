"""Settings: what wins over what, and what every mistake is told."""

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
    ("assignment", "told"),
    [
        ("detect.scor=0.5", "unknown setting 'detect.scor'; known here: detector, enlarge"),
        (
            "colour=red",
            "unknown setting 'colour'; known here: choose, detect, limits, link, output",
        ),
        ("output.scale=3", "output.scale"),
        ("detect.score=2", "got 2"),
        ("detect.score.deep=2", "score is a value, not a section"),
        ("detect.score", "--set wants key=value"),
        ("=1", "--set wants key=value"),
    ],
)
def test_a_bad_assignment_is_told(assignment: str, told: str) -> None:
    assignments = ["detect.score=0.5"] * ("deep" in assignment) + [assignment]
    with pytest.raises(UsageError, match=told):
        load_settings(assignments=assignments)


def test_the_end_lies_after_the_start() -> None:
    with pytest.raises(UsageError, match="must lie after start"):
        load_settings(overrides={"output.start": 3.0, "output.end": 2.0})


def test_an_unknown_profile_is_told() -> None:
    with pytest.raises(UsageError, match="balanced, fast, thorough, strict, recall"):
        load_settings(profile="best")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "no such config file"),
        (b"a = = 1", "not valid TOML"),
        (b"\xff\xfe", "cannot be read"),
    ],
)
def test_a_bad_config_file_is_told(tmp_path: Path, content: bytes | None, told: str) -> None:
    config = tmp_path / "bad.toml"
    if content is not None:
        config.write_bytes(content)
    with pytest.raises(UsageError, match=told):
        load_settings(config=config)


def test_a_config_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load_settings(config=tmp_path)


def test_a_profile_names_a_speed_and_no_preset_of_one_encoder() -> None:
    assert load_settings(profile="fast").output.speed == "fast"
    assert load_settings(profile="thorough").output.speed == "slow"
    assert load_settings(profile="fast", overrides={"output.preset": "p7"}).output.preset == "p7"


def test_infinity_is_no_time() -> None:
    with pytest.raises(UsageError, match=r"output\.end"):
        load_settings(overrides={"output.end": float("inf")})
