"""What a file is, by its first bytes alone."""

from __future__ import annotations

import io
import tarfile
import zipfile
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from facepipe._system.kinds import begins_a_video, is_video, kind_of, kind_of_bytes
from media import recorders, synthetic

_MPEG = {"b": "4000000"}
_TIMED: dict[str, Any] = {"time_base": Fraction(1, 25), "pts": range(40)}


def _sound(codec: str, format: str) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format=format) as out:
        stream = out.add_stream(codec, rate=48000, layout="mono")
        quiet = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.int16), "s16", "mono")
        quiet.sample_rate = 48000
        resampler = av.AudioResampler(stream.format, "mono", 48000, stream.frame_size or None)
        for frame in [*resampler.resample(quiet), *resampler.resample(None)]:
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return file.getvalue()


def _image(format: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (32, 32)).save(file, format)
    return file.getvalue()


@pytest.mark.parametrize(
    ("format", "name"),
    [
        ("JPEG", "a JPEG image"),
        ("PNG", "a PNG image"),
        ("BMP", "a BMP image"),
        ("GIF", "a GIF image"),
        ("TIFF", "a TIFF image"),
        ("WEBP", "a WebP image"),
        ("PDF", "a PDF document"),
    ],
)
def test_images_are_known(format: str, name: str) -> None:
    kind = kind_of_bytes(_image(format))
    assert kind is not None
    assert kind.name == name
    assert not begins_a_video(_image(format))


@pytest.mark.parametrize(
    ("codec", "format", "name"),
    [
        ("libmp3lame", "mp3", "an MP3 file, sound alone"),
        ("pcm_s16le", "wav", "a WAV file, sound alone"),
        ("flac", "flac", "a FLAC file, sound alone"),
    ],
)
def test_sounds_are_known(codec: str, format: str, name: str) -> None:
    kind = kind_of_bytes(_sound(codec, format))
    assert kind is not None
    assert kind.name == name


def test_mp3_without_a_tag_is_known() -> None:
    tagged = _sound("libmp3lame", "mp3")
    kind = kind_of_bytes(tagged[tagged.index(b"\xff\xfb") :])
    assert kind is not None
    assert kind.name == "an MP3 file, sound alone"


def test_archives_are_known(tmp_path: Path) -> None:
    packed, taken = tmp_path / "a.mp4", tmp_path / "b.mp4"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("one.jpg", b"x")
    with tarfile.open(taken, "w") as tar:
        tar.add(packed, "one.jpg")
    for path, name in ((packed, "a ZIP archive"), (taken, "a tar archive")):
        kind = kind_of(path)
        assert kind is not None
        assert kind.name == name
        assert "facepipe batch" in kind.remedy


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("#EXTM3U\n", "a playlist (HLS or M3U)"),
        ("<?xml version='1.0'?>\n<MPD xmlns='urn'>", "a playlist (DASH)"),
        ("\ufeff<!DOCTYPE html><html>", "a web page"),
        ("v=0\r\no=-", "a description of a network stream (SDP)"),
        ("Dear Sir,\n\tä", "a text"),
    ],
)
def test_texts_are_known(text: str, name: str) -> None:
    kind = kind_of_bytes(text.encode())
    assert kind is not None
    assert kind.name == name


@pytest.mark.parametrize(
    ("suffix", "codec", "format"),
    [
        (".mp4", "libx264", None),
        (".mkv", "libx264", None),
        (".ts", "libx264", None),
        (".m2ts", "libx264", None),
        (".flv", "libx264", None),
        (".avi", "mpeg4", None),
        (".mpg", "mpeg2video", None),
        (".asf", "mpeg4", None),
        (".nut", "libx264", None),
        (".264", "libx264", None),
        (".265", "libx265", None),
        (".m2v", "mpeg2video", None),
        (".m4v", "mpeg4", "m4v"),
        (".y4m", "wrapped_avframe", None),
        (".ivf", "libvpx", None),
    ],
)
def test_videos_are_known_without_their_names(
    suffix: str, codec: str, format: str | None, tmp_path: Path
) -> None:
    options = dict(_MPEG) if codec == "mpeg2video" else {}
    options |= {"mpegts_m2ts_mode": "1"} if suffix == ".m2ts" else {}
    video = synthetic.video(
        tmp_path / f"a{suffix}", codec=codec, format=format, options=options, **_TIMED
    )
    assert kind_of(video) is None
    assert is_video(video)


def test_a_recorders_own_format_is_known(tmp_path: Path) -> None:
    make = partial(synthetic.plain, frames=5)
    assert is_video(recorders.dhav(tmp_path / "a.dav", make=make))


@given(st.binary(max_size=600))
def test_whatever_it_is_nothing_fails(head: bytes) -> None:
    kind = kind_of_bytes(head)
    assert not (kind is not None and begins_a_video(head))


def test_what_is_not_there_is_nothing(tmp_path: Path) -> None:
    assert kind_of(tmp_path / "none") is None
    assert not is_video(tmp_path / "none")
    assert kind_of(tmp_path) is None
