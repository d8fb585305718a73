"""Subtitles: text, lines, styles of letters and times are the same in every container's codec."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import pytest
from av.subtitles.stream import SubtitleStream

from facepipe.video import EncodeSettings, check_target, probe
from media import synthetic
from media.video_checks import Render

FAST = EncodeSettings("libx264", (("preset", "veryfast"),))
WEB = EncodeSettings("libvpx-vp9", (("deadline", "realtime"), ("cpu-used", "8")))
STYLES = (
    "[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\n"
    "Format: Name, Fontname, Fontsize, PrimaryColour, Bold, Italic, Underline, Alignment\n"
    "Style: Default,Arial,16,&Hffffff,0,0,0,2\nStyle: Sign,Arial,20,&Hff,-1,0,0,8\n\n[Events]\n"
    "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
)
#: Milliseconds from and to, text as SubRip has it.
SPOKEN = (
    (200, 700, "Hello <i>you</i>\nsecond lïne ☃"),
    (700, 1200, "<b>Bold</b> & <u>under</u>, 1 < 2 > 0"),
    (1500, 1900, "日本語\n\nafter a gap"),
)
Shown = list[tuple[int, int, str]]


def subtitled(path: Path, codec: str, subtitles: Sequence[tuple[int, int, str]]) -> Path:
    """25 fps for 2.4 s, and subtitles as the packets of `codec` have them."""
    plain = synthetic.plain(path.with_name("plain.mkv"), frames=60)
    with av.open(str(plain)) as source, av.open(str(path), "w") as container:
        video = container.add_stream_from_template(source.streams.video[0], opaque=True)
        words = container.add_stream(codec)
        assert isinstance(words, SubtitleStream)
        words.codec_context.subtitle_header = STYLES.encode()
        words.time_base = Fraction(1, 1000)
        words.metadata.update({"language": "fra", "title": "Pour tous"})
        for number, (start, end, text) in enumerate(subtitles):
            event = f"{number},0,{text}" if codec == "ass" else text
            packet: av.Packet[av.stream.Stream] = av.Packet(event.encode())
            packet.stream, packet.time_base = words, Fraction(1, 1000)
            packet.pts = packet.dts = start
            packet.duration, packet.is_keyframe = end - start, True
            container.mux(packet)
        for frame in source.demux():
            if frame.size:
                frame.stream = video
                container.mux(frame)
    return path


def shown(path: Path) -> Shown:
    """What is shown from when to when, as events of ASS, without empty ones."""
    found = []
    with av.open(str(path)) as container:
        words = container.streams.subtitles[0]
        for packet in container.demux(words):
            read = words.decode2(packet) if packet.size else None
            if read is None or packet.pts is None:
                continue
            start = packet.pts * packet.time_base * 1000
            end = start + (packet.duration or 0) * packet.time_base * 1000
            for event in read:
                assert isinstance(event, av.subtitles.subtitle.AssSubtitle)
                found.append((round(start), round(end), event.ass.decode().split(",", 8)[-1]))
    return found


def plainer(events: Shown) -> Shown:
    """Events in which letters end as mov_text ends them, by resetting all."""
    return [(start, end, re.sub(r"\{\\[ibu]0\}", r"{\\r}", text)) for start, end, text in events]


def codec_of(path: Path) -> str:
    with av.open(str(path)) as container:
        words = container.streams.subtitles[0]
        assert words.metadata["language"] == "fra"
        assert words.metadata.get("title", words.metadata.get("name")) == "Pour tous"
        return str(words.codec_context.codec.canonical_name)


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [(".mp4", "mov_text"), (".mov", "mov_text"), (".mkv", "subrip"), (".webm", "webvtt")],
)
def test_subrip(suffix: str, codec: str, tmp_path: Path, render: Render) -> None:
    source, target = subtitled(tmp_path / "a.mkv", "subrip", SPOKEN), tmp_path / f"b{suffix}"
    render(source, target, WEB if suffix == ".webm" else FAST)
    assert codec_of(target) == codec
    before = shown(source)
    assert [(a, b) for a, b, _ in before] == [(a, b) for a, b, _ in SPOKEN]
    assert "1 < 2 > 0" in before[1][2]
    assert shown(target) == (plainer(before) if codec == "mov_text" else before)


@pytest.mark.parametrize("way", [(".mp4", ".mkv"), (".webm", ".mp4", ".mkv"), (".mov", ".webm")])
def test_there_and_back(way: tuple[str, ...], tmp_path: Path, render: Render) -> None:
    path = subtitled(tmp_path / "a.mkv", "subrip", SPOKEN)
    before = shown(path)
    for number, suffix in enumerate(way):
        target = tmp_path / f"{number}{suffix}"
        render(path, target, WEB if suffix == ".webm" else FAST)
        path = target
    assert plainer(shown(path)) == plainer(before)


@pytest.mark.parametrize(("suffix", "codec"), [(".mp4", "mov_text"), (".webm", "webvtt")])
def test_text_of_ass(suffix: str, codec: str, tmp_path: Path, render: Render) -> None:
    events = [
        (200, 700, "Default,,0,0,0,,One {\\i1}slanted{\\i0}\\Ntwo{a remark}\\hthree"),
        (700, 900, "Default,,0,0,0,,{\\p1}m 0 0 l 100 0 100 100{\\p0}"),  # a drawing
        (1000, 1400, "Sign,,0,0,0,,{\\pos(10,20)\\k20}Stop, {\\c&HFF&}now"),
    ]
    source, target = subtitled(tmp_path / "a.mkv", "ass", events), tmp_path / f"b{suffix}"
    settings = WEB if suffix == ".webm" else FAST
    found = check_target(source, probe(source), target, settings=settings, allow_loss=True)
    (lost,) = found.incompatibilities
    assert (lost.what, lost.instead) == (
        "the styles and places of stream 1 (subtitle, ass)", (".mkv",)
    )  # fmt: skip
    assert found.leave_out == ()
    assert f"stream 1 (subtitle, ass) becomes {codec}" in found.notes
    render(source, target, settings)
    assert codec_of(target) == codec
    first, second = plainer(shown(target))
    assert first == (200, 700, "One {\\i1}slanted{\\r}\\Ntwo\N{NO-BREAK SPACE}three")
    assert second[:2] == (1000, 1400)
    assert re.sub(r"\{[^}]*\}", "", second[2]) == "Stop, now"


def test_mov_text_shows_one_at_a_time(tmp_path: Path, render: Render) -> None:
    """Subtitles that overlap are shown below each other for as long as both are visible."""
    events = [
        (200, 1000, "first"),
        (600, 1400, "second"),
        (600, 800, "third"),
        (2000, 2200, "last"),
    ]
    source = subtitled(tmp_path / "a.mkv", "subrip", events)
    render(source, tmp_path / "b.mp4", FAST)
    assert shown(tmp_path / "b.mp4") == [
        (200, 600, "first"),
        (600, 800, "first\\Nsecond\\Nthird"),
        (800, 1000, "first\\Nsecond"),
        (1000, 1400, "second"),
        (2000, 2200, "last"),
    ]
    render(source, tmp_path / "b.webm", WEB)
    assert shown(tmp_path / "b.webm") == [(a, b, text) for a, b, text in events]


def test_a_subtitle_without_an_end_is_shown_until_the_next(tmp_path: Path, render: Render) -> None:
    source = subtitled(tmp_path / "a.nut", "text", [(200, 200, "open"), (900, 1200, "closed")])
    info = render(source, tmp_path / "b.mp4", FAST)
    late = round(info.pts[0] * info.time_base * 1000)  # NUT begins at the first decoding time
    events = [(late + 200, late + 900, "open"), (late + 900, late + 5900, "closed")]
    assert shown(tmp_path / "b.mp4") == events


def test_a_subtitle_of_megabytes_is_cut(tmp_path: Path, render: Render) -> None:
    source = subtitled(
        tmp_path / "a.mkv", "subrip", [(200, 700, "ä" * 200_000), (900, 1200, "short")]
    )
    render(source, tmp_path / "b.mp4", FAST)
    long, short = shown(tmp_path / "b.mp4")
    assert set(long[2]) == {"ä"}
    assert short == (900, 1200, "short")


def test_another_program_reads_the_same(tmp_path: Path, render: Render) -> None:
    ffmpeg, ffprobe = shutil.which("ffmpeg"), shutil.which("ffprobe")
    if ffmpeg is None or ffprobe is None:
        pytest.skip("the programs ffmpeg and ffprobe are not here")
    source = subtitled(tmp_path / "a.mkv", "subrip", SPOKEN)
    for suffix, settings in ((".mp4", FAST), (".webm", WEB)):
        target = tmp_path / f"b{suffix}"
        render(source, target, settings)
        written = [ffmpeg, "-v", "error", "-i", target, "-map", "0:s", "-f", "srt", "-"]
        read = subprocess.run(written, capture_output=True, check=True)
        assert read.stderr == b""
        expected = subprocess.run(
            [ffmpeg, "-v", "error", "-i", source, "-map", "0:s", "-f", "srt", "-"],
            capture_output=True,
            check=True,
        )
        assert read.stdout.decode() == expected.stdout.decode()
        asked = [ffprobe, "-v", "error", "-of", "json", "-show_streams", "-select_streams", "s"]
        printed = subprocess.run([*asked, target], capture_output=True, check=True)
        assert json.loads(printed.stdout)["streams"][0]["tags"]["language"] == "fra"
