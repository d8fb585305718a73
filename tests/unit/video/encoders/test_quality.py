"""Qualities and speeds: every table opens its encoder, better is larger, same is same."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from facepipe.configs.settings import load_settings
from facepipe.errors import UsageError
from facepipe.video import EncodeSettings, check_encoder, decode, encode, probe
from facepipe.video.encoders.quality import ENCODER_SPECS, encoder_options_of
from facepipe.video.encoders.settings import find_encoder
from media import synthetic
from media.video_checks import whole

SOFTWARE = ("libx264", "libx264rgb", "libx265", "libsvtav1", "libvpx-vp9", "ffv1", "prores_ks")
QUALITIES = ("small", "visually-lossless", "archive")


def options_for(codec: str, **wanted: object) -> tuple[tuple[str, str], ...]:
    output = load_settings(overrides={f"output.{key}": v for key, v in wanted.items()}).output
    return encoder_options_of(output, codec, (), named=True)[0]


@pytest.mark.parametrize("codec", SOFTWARE)
def test_better_is_larger_and_nearer_and_the_same_frames_make_the_same_bytes(
    codec: str, tmp_path: Path
) -> None:
    info = probe(synthetic.video(tmp_path / "a.mkv", size=(320, 192), codec="ffv1", frames=40))
    frames = list(decode(info, whole(info)))
    sizes, errors = [], []
    for quality in QUALITIES:
        settings = EncodeSettings(codec, options_for(codec, quality=quality))
        check_encoder(settings, info)
        made = set()
        for again in range(2):
            part = tmp_path / f"{quality}{again}.nut"
            encode(iter(frames), part, info=info, span=whole(info), settings=settings)
            made.add(hashlib.sha256(part.read_bytes()).hexdigest())
        assert len(made) == 1
        sizes.append(part.stat().st_size)
        written = probe(part)
        errors.append(
            np.mean(
                [
                    np.abs(a.luma.astype(float) - b.luma / 2.0 ** (b.format.bits - 8)).mean()
                    for a, b in zip(frames, decode(written, whole(written)), strict=True)
                ]
            )
            if codec != "libx264rgb"  # its planes are not those of the source
            else 1 / sizes[-1]
        )
    if codec == "ffv1":
        assert errors == [0, 0, 0]
        return
    assert sizes[0] < sizes[1] <= sizes[2]
    assert errors[0] > errors[1] >= errors[2]
    assert (sizes[1] < sizes[2]) == (codec != "prores_ks")  # which knows no better than HQ


@pytest.mark.parametrize("codec", SOFTWARE)
@pytest.mark.parametrize("speed", ["fast", "balanced", "slow"])
def test_every_speed_opens(codec: str, speed: str, tmp_path: Path) -> None:
    info = probe(synthetic.plain(tmp_path / "a.mp4"))
    check_encoder(EncodeSettings(codec, options_for(codec, speed=speed)), info)


def test_the_users_own_options_win() -> None:
    assert dict(options_for("libx264", crf=30, preset="slow")) == {"crf": "30", "preset": "slow"}
    own = {"output.options.crf": "7"}
    output = load_settings(overrides={"output.crf": 30} | own).output
    assert dict(encoder_options_of(output, "libx264", (), named=True)[0])["crf"] == "7"
    assert dict(options_for("libsvtav1", preset="10", speed="slow"))["preset"] == "10"
    assert dict(options_for("h264_nvenc", crf=21.5))["cq"] == "21.5"
    assert dict(options_for("hevc_qsv", crf=21))["global_quality"] == "21"
    assert {k: v for k, v in options_for("h264_amf", crf=21) if k.startswith("qp")} == {
        "qp_i": "21", "qp_p": "21", "qp_b": "21"
    }  # fmt: skip
    assert "crf" not in dict(options_for("libx264", options={"qp": "0"}))
    assert options_for("libx264", speed="fast") == (("crf", "18"), ("preset", "veryfast"))
    assert options_for("some-encoder", options={"b": "1M"}) == (("b", "1M"),)


def test_what_an_encoder_does_not_know_is_refused_or_noted() -> None:
    output = load_settings(overrides={"output.crf": 20, "output.preset": "fast"}).output
    with pytest.raises(UsageError, match="--crf does not go with ffv1; it does with libx264"):
        encoder_options_of(output, "ffv1", (), named=True)
    with pytest.raises(UsageError, match="--preset fast is none of libsvtav1; it has -1, 0, 1"):
        encoder_options_of(output, "libsvtav1", (), named=True)
    options, notes = encoder_options_of(output, "ffv1", (), named=False)
    assert dict(options)["slicecrc"] == "1"
    assert len(notes) == 2
    assert all(note.endswith("it was chosen for this video") for note in notes)


def test_the_video_s_own_options_come_before_the_quality_s() -> None:
    output = load_settings(overrides={"output.quality": "small"}).output
    forced = (("profile", "4444xq"),)
    assert dict(encoder_options_of(output, "prores_ks", forced, named=False)[0]) == {
        "profile": "4444xq", "vendor": "apl0"
    }  # fmt: skip


def test_specs_are_of_real_encoders_where_there_are_such() -> None:
    found = 0
    for codec, spec in ENCODER_SPECS.items():
        assert set(spec.quality) == set(QUALITIES)
        try:
            find_encoder(codec)
            found += 1
        except UsageError:  # of another system, or left out of this build
            assert "_" in codec or codec == "libaom-av1"
    assert found >= 10


def test_a_preset_that_no_encoder_knows_is_refused_also_where_none_was_named() -> None:
    output = load_settings(overrides={"output.preset": "ultrafat"}).output
    for named in (False, True):
        with pytest.raises(UsageError, match="--preset ultrafat is none of libx264"):
            encoder_options_of(output, "libx264", (), named=named)
    output = load_settings(overrides={"output.preset": "ultrafast"}).output
    _, notes = encoder_options_of(output, "libsvtav1", (), named=False)
    assert "it was chosen for this video" in notes[0]
