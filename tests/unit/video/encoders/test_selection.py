"""Which encoder is chosen: of the source's codec, or one that loses nothing."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from facepipe.datatypes import VideoInfo
from facepipe.errors import MediaError, UsageError
from facepipe.video import EncodeSettings, check_target, decode, output_pix_fmt, probe
from facepipe.video.containers import container_of
from facepipe.video.encoders.selection import KEPT, EncoderChoice, choose_encoder, named_encoder
from facepipe.video.encoders.settings import find_encoder
from media import synthetic
from media.video_checks import Render, at_keyframes, whole


@pytest.fixture
def info(tmp_path: Path) -> VideoInfo:
    return probe(synthetic.plain(tmp_path / "source.mp4"))


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "suffix", "chosen"),
    [
        ("h264", "yuv420p", ".mp4", "libx264"),
        ("h264", "yuvj420p", ".mkv", "libx264"),
        ("h264", "yuv420p10le", ".mov", "libx264"),
        ("hevc", "yuv420p10le", ".ts", "libx265"),
        ("hevc", "yuv444p12le", ".mp4", "libx265"),
        ("av1", "yuv420p10le", ".webm", "libsvtav1"),
        ("vp9", "yuv420p", ".mp4", "libvpx-vp9"),
        ("ffv1", "gbrp10le", ".mkv", "ffv1"),
        ("prores", "yuv422p10le", ".mov", "prores_ks"),
        ("prores", "yuva444p12le", ".mkv", "prores_ks"),
    ],
)
def test_the_codec_stays_without_a_word(
    codec: str, pix_fmt: str, suffix: str, chosen: str, info: VideoInfo
) -> None:
    found = choose_encoder(replace(info, codec=codec, pix_fmt=pix_fmt), suffix)
    assert (found.codec, found.note) == (chosen, None)


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "suffix", "chosen", "why"),
    [
        ("mpeg2video", "yuv420p", ".mp4", "libx264", "facepipe writes no mpeg2video"),
        ("h264", "yuv420p", ".webm", "libvpx-vp9", "webm cannot hold h264"),
        ("hevc", "yuv420p10le", ".webm", "libsvtav1", "webm cannot hold hevc"),
        ("vp9", "yuv420p", ".ts", "libx264", "mpegts cannot hold vp9"),
        ("av1", "yuv420p", ".mov", "libx264", "mov cannot hold av1"),
        ("av1", "yuv444p", ".mkv", "libx264", "libsvtav1 cannot write yuv444p"),
        ("mpeg4", "yuv420p12le", ".mp4", "libx265", "facepipe writes no mpeg4"),
        ("h264", "yuv420p14le", ".mkv", "ffv1", "libx264 cannot write yuv420p14le"),
        ("rawvideo", "gray", ".mp4", "libx264", "rawvideo"),
        ("rawvideo", "bgr24", ".mp4", "libx264rgb", "rawvideo"),
        ("rawvideo", "gbrp10le", ".mp4", "libx265", "rawvideo"),
        ("rawvideo", "gbrp16le", ".mkv", "ffv1", "rawvideo"),
        ("png", "rgba", ".mkv", "ffv1", "png"),
        ("png", "rgba", ".mov", "prores_ks", "png"),
        ("ffv1", "yuva420p", ".webm", "libvpx-vp9", "webm cannot hold ffv1"),
        ("vp9", "yuva420p", ".mov", "prores_ks", "mov cannot hold vp9"),
        ("prores", "yuv422p10le", ".mp4", "libx264", "mp4 cannot hold prores"),
    ],
)
def test_another_codec_loses_nothing_and_is_noted(
    codec: str, pix_fmt: str, suffix: str, chosen: str, why: str, info: VideoInfo
) -> None:
    source = replace(info, codec=codec, pix_fmt=pix_fmt)
    found = choose_encoder(source, suffix)
    assert found.codec == chosen
    assert found.note is not None
    assert why in found.note
    assert found.note.startswith(f"the video was {codec} and is written as ")


@pytest.mark.parametrize("scale", [1, 2])
def test_an_odd_size_keeps_its_chroma_where_it_can(scale: int, info: VideoInfo) -> None:
    odd = replace(info, codec="mjpeg", pix_fmt="yuvj420p", width=97, height=65)
    found = choose_encoder(odd, ".mp4", scale)
    assert found.codec == ("libvpx-vp9" if scale == 1 else "libx264")
    kept = output_pix_fmt(EncodeSettings(found.codec, scale=scale), odd)[0]
    assert kept in ("yuv420p", "yuvj420p")
    assert choose_encoder(odd, ".mov").codec == "libx264"


def test_where_all_lose_the_encoder_that_loses_least_is_chosen(info: VideoInfo) -> None:
    deep = replace(info, codec="ffv1", pix_fmt="yuv420p16le")
    found = choose_encoder(deep, ".ts")
    assert found.codec == "libx265"
    assert output_pix_fmt(EncodeSettings(found.codec), deep)[0] == "yuv420p12le"
    clear = replace(info, codec="ffv1", pix_fmt="yuva420p")
    assert choose_encoder(clear, ".ts").codec == "libx264"


@pytest.mark.parametrize(
    ("profile", "pix_fmt", "option"),
    [
        ("Proxy", "yuv422p10le", "proxy"),
        ("LT", "yuv422p10le", "lt"),
        ("Standard", "yuv422p10le", "standard"),
        ("HQ", "yuv422p10le", "hq"),
        ("4444", "yuv444p12le", "4444"),
        ("XQ", "yuva444p12le", "4444xq"),
        ("HQ", "yuv444p12le", "4444"),
    ],
)
def test_prores_keeps_its_profile(
    profile: str | None, pix_fmt: str, option: str, info: VideoInfo
) -> None:
    source = replace(info, codec="prores", pix_fmt=pix_fmt, profile=profile)
    assert choose_encoder(source, ".mov").options == (("profile", option),)
    assert named_encoder("prores_ks", source, None).options == (("profile", option),)


def test_a_named_codec_is_its_encoder(info: VideoInfo) -> None:
    assert named_encoder("hevc", info, None) == EncoderChoice("libx265")
    assert named_encoder("prores", info, "yuv444p10le").options == (("profile", "4444"),)
    with pytest.raises(UsageError, match="no encoder 'libnone'"):
        named_encoder("libnone", info, None)


def test_the_shape_of_pixels_is_not_lost(info: VideoInfo) -> None:
    wide = replace(info, codec="vp9", sample_aspect_ratio=Fraction(16, 11))
    for suffix in (".mp4", ".mkv"):
        found = choose_encoder(wide, suffix)
        assert (found.codec, found.note) == ("libvpx-vp9", None)


def test_what_no_encoder_writes_is_refused(info: VideoInfo) -> None:
    with pytest.raises(UsageError, match=r"to \.webm; name another target, such as \.mkv"):
        choose_encoder(replace(info, width=20000, height=20000), ".webm", 4)
    with pytest.raises(UsageError, match=r"\.xyz"):
        choose_encoder(info, ".xyz")


@pytest.mark.parametrize("codec", KEPT)
def test_each_codec_goes_round_through_every_container_that_holds_it(
    codec: str, tmp_path: Path, render: Render
) -> None:
    """What a container's row says is true: held codecs decode, others are refused."""
    encoder = KEPT[codec]
    pix_fmt = "yuv422p10le" if codec == "prores" else "yuv420p"
    made = synthetic.video(
        tmp_path / "a.mkv", codec=encoder, pix_fmt=pix_fmt, frames=12,
        options={"profile": "lt"} if codec == "prores" else None,
        pts=[40 * number for number in range(12)], time_base=Fraction(1, 1000),
    )  # fmt: skip
    before = probe(made)
    assert before.codec == codec
    held = 0
    for suffix in (".mp4", ".mov", ".mkv", ".webm", ".ts"):
        container = container_of(suffix)
        settings = EncodeSettings(encoder, choose_encoder(before, ".mkv").options)
        target = tmp_path / f"b{suffix}"
        if not container.holds_video(codec):
            with pytest.raises(MediaError, match=f"{container.muxer} cannot hold stream 0"):
                check_target(made, before, target, settings=settings)
            chosen = choose_encoder(before, suffix)
            assert find_encoder(chosen.codec).canonical_name != codec
            settings = EncodeSettings(chosen.codec, chosen.options)
        after = render(made, target, settings)
        held += after.codec == codec
        times = [float((pts - after.pts[0]) * after.time_base) for pts in after.pts]
        assert times == pytest.approx([0.04 * number for number in range(12)])
        if codec == after.codec == "prores":
            assert after.profile == before.profile == "LT"
        assert len(list(decode(after, whole(after)))) == 12
    assert held >= 2


def transparent(path: Path, codec: str, pix_fmt: str) -> Path:
    """A box of alpha 200 that moves in a video of alpha 0; keyframes every 5 frames."""
    with av.open(str(path), "w") as container:
        options = {"crf": "10", "b": "0"} if codec == "libvpx-vp9" else {}
        video = container.add_stream(codec, rate=25, options={"g": "5"} | options)
        video.width, video.height, video.pix_fmt = 96, 64, pix_fmt
        for number in range(12):
            alpha = np.zeros((64, 96, 1), np.uint8)
            alpha[10:40, number : number + 40] = 200
            drawn = np.concatenate([synthetic.picture(number), alpha], axis=2)
            frame = av.VideoFrame.from_ndarray(drawn, "rgba").reformat(format=pix_fmt)
            frame.pts = number
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    return path


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "suffix", "target", "written"),
    [
        ("libvpx-vp9", "yuva420p", ".webm", ".webm", "vp9"),
        ("libvpx-vp9", "yuva420p", ".webm", ".mkv", "vp9"),
        ("libvpx-vp9", "yuva420p", ".webm", ".mov", "prores"),
        ("libvpx-vp9", "yuva420p", ".webm", ".mp4", "ffv1"),
        ("ffv1", "bgra", ".mkv", ".webm", "vp9"),
        ("ffv1", "yuva444p10le", ".mkv", ".mov", "prores"),
    ],
)
def test_alpha_is_kept(
    codec: str, pix_fmt: str, suffix: str, target: str, written: str, tmp_path: Path, render: Render
) -> None:
    source = transparent(tmp_path / f"a{suffix}", codec, pix_fmt)
    before = probe(source)
    assert before.pix_fmt == pix_fmt
    chosen = choose_encoder(before, target)
    settings = EncodeSettings(chosen.codec, chosen.options)
    after = render(source, tmp_path / f"b{target}", settings)
    assert after.codec == written
    old, new = (list(decode(one, whole(one))) for one in (before, after))
    assert len(old) == len(new) == 12
    for one, other in zip(old, new, strict=True):
        shares = [f.planes[3] / float(2**f.format.bits - 1) for f in (one, other)]
        assert np.abs(shares[0] - shares[1]).mean() < 0.005
        assert shares[0].max() > 0.75
    cut = [frame for span in at_keyframes(before) for frame in decode(before, span)]
    assert [f.pts for f in cut] == [f.pts for f in old]
    assert all(np.array_equal(a.planes[3], b.planes[3]) for a, b in zip(cut, old, strict=True))
