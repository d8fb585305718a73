"""The encoder delay of audio goes from mp4 to Matroska, and all times stay as they are."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import pytest

from facepipe.datatypes import Clock
from facepipe.video import EncodeSettings, check_target, probe
from facepipe.video.containers import MATROSKA, MP4, WEBM
from facepipe.video.muxing.priming import encoder_delays, with_encoder_delay
from media import synthetic
from media.rich_videos import Track, rich_video
from media.video_checks import Render, packets

FAST = EncodeSettings("libx264", (("preset", "veryfast"),))


def seconds(path: Path) -> dict[int, list[float]]:
    """The pts of every packet of each stream."""
    with av.open(str(path)) as container:
        bases = {s.index: float(s.time_base or 0) for s in container.streams}
    return {i: [(pts or 0) * bases[i] for pts, _, _ in all_] for i, all_ in packets(path).items()}


@pytest.mark.parametrize("make", [synthetic.late_video, synthetic.negative_start])
def test_nothing_is_moved(make: Callable[[Path], Path], tmp_path: Path, render: Render) -> None:
    source, target = make(tmp_path / "a.mp4"), tmp_path / "b.mkv"
    assert check_target(source, probe(source), target, settings=FAST).changes == ()
    after = render(source, target, FAST)
    info = probe(source)
    shown = [float(pts * info.time_base) for pts in info.pts]
    assert [float(pts * after.time_base) for pts in after.pts] == pytest.approx(shown, abs=6e-4)
    before, written = seconds(source)[1], seconds(target)[1]
    assert before[0] < 0
    assert written == pytest.approx(before, abs=1.1e-3)
    assert [h for *_, h in packets(target)[1]] == [h for *_, h in packets(source)[1]]


@pytest.mark.fuller
def test_players_skip_as_many_samples(tmp_path: Path, render: Render) -> None:
    """In Matroska as in mp4."""
    source, target = synthetic.late_video(tmp_path / "a.mp4"), tmp_path / "b.mkv"
    render(source, target, FAST)
    first = []
    for path in (source, target):
        with av.open(str(path)) as container:
            sound = container.streams.audio[0]
            frames = [f for packet in container.demux(sound) for f in packet.decode()]
            first.append(frames[0].to_ndarray()[0, :64].tolist())
    assert first[0] == first[1]
    program = shutil.which("ffprobe")
    if program is not None:
        asked = [program, "-v", "error", "-show_entries", "stream=start_time", "-of", "csv=p=0"]
        printed = subprocess.run([*asked, target], capture_output=True, check=True, text=True)
        assert [float(t) for t in printed.stdout.split()] == pytest.approx([0.85, -0.128], abs=1e-3)


def test_each_audio_stream_has_its_own_delay(tmp_path: Path) -> None:
    source = rich_video(tmp_path / "a.mp4", (Track("aac"), Track("ac3"), Track("libopus")))
    with av.open(str(source)) as opened:
        found = encoder_delays(source, opened, MATROSKA, Clock(), Fraction(0))
        # video and audio begin at 0.4 s
        assert found == {}
        assert encoder_delays(source, opened, MP4, Clock(), Fraction(0)) == {}
    source = synthetic.two_audios(tmp_path / "b.mp4")
    with av.open(str(source)) as opened:
        delays = encoder_delays(source, opened, WEBM, Clock(), Fraction(0))
        assert delays == {1: Fraction(16, 125), 2: Fraction(16, 125)}
        sound = opened.streams.audio[0]
        with with_encoder_delay(sound, Fraction(16, 125)) as delayed:
            other = delayed.streams.audio[0]
            assert other.codec_context.extradata == sound.codec_context.extradata
            assert other.codec_context.sample_rate == sound.codec_context.sample_rate
            assert other.codec_context.layout.name == sound.codec_context.layout.name
