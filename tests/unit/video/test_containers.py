"""Containers: the target holds all that is not reported as lost, from any container to any."""

from __future__ import annotations

import ast
import hashlib
import re
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import pytest
from av.sidedata.sidedata import Type
from av.stream import AttachmentStream, Disposition

from facepipe.errors import MediaError
from facepipe.video import (
    Compatibility,
    EncodeSettings,
    check_target,
    containers,
    demuxers,
    probe,
)
from facepipe.video.clock import moved_by
from facepipe.video.containers import (
    CONTAINERS,
    READ_SUFFIXES,
    SUGGESTED,
    WRITTEN_SUFFIXES,
    container_of,
)
from facepipe.video.muxing.languages import same_language
from facepipe.video.muxing.subtitles import TEXT_CODECS
from facepipe.video.pixel_formats import side_data
from facepipe.video.streams import codec_name, is_cover, is_written_by_muxer
from media import synthetic
from media.container_tables import PAGE, SUFFIXES, cells, read_table, rows_table
from media.rich_videos import RICH, Track, rich_video
from media.video_checks import Render

FAST = EncodeSettings("libx264", (("preset", "veryfast"),))
WEB = EncodeSettings("libvpx-vp9", (("deadline", "realtime"), ("cpu-used", "8")))


@dataclass(frozen=True)
class ReadStream:
    """A stream as it is read from a file."""

    index: int
    kind: str
    codec: str
    language: str | None
    title: str | None
    dispositions: Disposition
    data: bytes
    packets: tuple[str, ...]
    times: tuple[Fraction, ...]


def streams_of(path: Path) -> list[ReadStream]:
    """All streams but those that muxers write by themselves, in the file's order."""
    data: dict[int, list[bytes]] = {}
    times: dict[int, list[Fraction]] = {}
    with av.open(str(path)) as container:
        streams = [s for s in container.streams if not is_written_by_muxer(s)]
        for packet in container.demux(streams):
            if packet.size and bytes(packet) != b"\0\0":
                data.setdefault(packet.stream.index, []).append(bytes(packet))
                moment = (packet.pts or 0) * packet.time_base
                times.setdefault(packet.stream.index, []).append(moment)
        return [
            ReadStream(
                stream.index,
                "cover" if is_cover(stream) else stream.type,
                codec_name(stream),
                {"und": None}.get(stream.language or "und", stream.language),
                stream.metadata.get("title", stream.metadata.get("name")),
                stream.disposition,
                stream.data if isinstance(stream, AttachmentStream) else b"",
                tuple(hashlib.md5(one).hexdigest() for one in data.get(stream.index, [])),
                tuple(times.get(stream.index, [])),
            )
            for stream in streams
        ]


def made(source: Path, target: Path, render: Render) -> Compatibility:
    """Check what will be lost, then write the target without it."""
    settings = WEB if target.suffix == ".webm" else FAST
    found = check_target(source, probe(source), target, settings=settings, allow_loss=True)
    render(source, target, settings, leave_out=found.leave_out)
    return found


@pytest.mark.parametrize("suffix", SUGGESTED)
@pytest.mark.parametrize("name", RICH)
def test_what_is_not_reported_is_kept(
    name: str, suffix: str, tmp_path: Path, render: Render
) -> None:
    source, target = RICH[name](tmp_path / name), tmp_path / f"made{suffix}"
    found = made(source, target, render)
    lost = [one.what for one in found.incompatibilities]
    before, after = streams_of(source), streams_of(target)
    info = probe(source)
    late = probe(target).pts[0] * probe(target).time_base - info.pts[0] * info.time_base
    earlier = moved_by(info.clock, kept=container_of(suffix).keeps_clock)
    if earlier:
        assert abs(late + earlier) <= Fraction(1, 1000)
    if not any(change.startswith("all streams begin") for change in found.changes):
        assert late <= Fraction(1, 1000)
    checked = 0
    for kind in dict.fromkeys(stream.kind for stream in before):
        kept = [s for s in before if s.kind == kind and s.index not in found.leave_out]
        there = [s for s in after if s.kind == kind]
        assert len(there) == len(kept), kind
        for one, two in zip(kept, there, strict=True):
            checked += 1
            is_video = one.index == info.stream_index
            named = "the video" if is_video else f"stream {one.index} ({one.kind}, {one.codec})"
            if not is_video:
                _same_content(one, two, suffix, late)
            _same_metadata(one, two, [what for what in lost if what.endswith(named)])
    assert checked + len(found.leave_out) == len(before)
    _same_file(source, target, lost, float(earlier))


def _same_content(one: ReadStream, two: ReadStream, suffix: str, late: Fraction) -> None:
    assert two.data == one.data
    if one.codec == two.codec and not (
        suffix in (".ts", ".m2ts") and one.codec == "aac"
    ):  # gets headers
        assert two.packets == one.packets
    else:
        assert {one.codec, two.codec} <= {*TEXT_CODECS} or {one.codec, two.codec} <= {
            "mp2", "mp3", "aac"
        }  # fmt: skip
    assert len(two.times) == len(one.times)
    if one.kind != "cover":
        tick = Fraction(1, 1000) if suffix in (".mkv", ".webm") else Fraction(1, 20000)
        # coarse ticks of the source become ticks of the audio's own sample rate
        tick += Fraction(1, 1000)
        assert all(abs(b - a - late) <= tick for a, b in zip(one.times, two.times, strict=True)), (
            one,
            two,
        )


def _same_metadata(one: ReadStream, two: ReadStream, lost: list[str]) -> None:
    if one.language and not any("the language" in what for what in lost):
        assert same_language(one.language, two.language or ""), (one, two)
    if not any("the metadata title" in what for what in lost):
        assert two.title == one.title
    for flag in one.dispositions & ~(Disposition.captions | Disposition.descriptions):
        named = any(what.startswith(f"the disposition {flag.name}") for what in lost)
        assert named or flag & two.dispositions or flag == Disposition.default, (flag, one, two)


def _same_file(source: Path, target: Path, lost: list[str], earlier: float) -> None:
    matrices, chapters, keys = [], [], []
    for path in (source, target):
        with av.open(str(path)) as container:
            first = next(container.decode(video=probe(path).stream_index))
            matrices.append(side_data(first, Type.DISPLAYMATRIX))
            chapters.append(
                [
                    (float(c["start"] * (c["time_base"] or 0)), c["metadata"].get("title"))
                    for c in container.chapters()
                ]
            )
            keys.append({k.lower(): v for k, v in container.metadata.items()})
    assert matrices[0] == matrices[1] or "the rotation" in lost
    moved = [(max(at - earlier, 0), title) for at, title in chapters[0]]
    assert chapters[1] == [(pytest.approx(at, abs=0.001), title) for at, title in moved] or (
        "the chapters" in lost
    )
    for key in ("title", "artist", "com.example.reel", "com.example.model", "timecode"):
        if key in keys[0] and f"the metadata {key}" not in lost:
            assert keys[1][key] == keys[0][key]


AUDIO = {
    ".mkv": ("aac", "ac3", "eac3", "mp2", "libmp3lame", "flac", "alac", "libopus", "tta",
             "wavpack", "pcm_s16le", "pcm_s24le", "pcm_f32le", "pcm_u8"),
    ".mov": ("pcm_s16be", "pcm_s24le", "pcm_alaw", "adpcm_ima_qt", "libopencore_amrnb"),
    ".nut": ("adpcm_ms", "pcm_mulaw"),
    ".avi": ("pcm_alaw", "adpcm_ima_wav", "adpcm_ms"),
}  # fmt: skip


_LANGUAGES = {".avi": None}


@pytest.mark.parametrize(
    ("suffix", "codec"), [(suffix, codec) for suffix, all_ in AUDIO.items() for codec in all_]
)
def test_audio_is_kept_to_the_byte_or_reported(
    suffix: str, codec: str, tmp_path: Path, render: Render
) -> None:
    try:
        source = rich_video(tmp_path / f"a{suffix}", (Track(codec, _LANGUAGES.get(suffix, "eng")),))
    except av.codec.codec.UnknownCodecError:
        pytest.skip(f"there is no {codec} here")
    audio = b"".join(audio_of(source))
    kept = 0
    for other in (".mp4", ".mov", ".mkv", ".ts", ".nut"):
        target = tmp_path / f"made{other}"
        found = made(source, target, render)
        if found.leave_out:
            (lost,) = [one for one in found.incompatibilities if one.stream is not None]
            assert lost.instead
            continue
        kept += 1
        if any("becomes pcm_" in change for change in found.changes):
            assert heard_of(target) == heard_of(source), other
            continue
        written = b"".join(audio_of(target))
        if (codec, other) != ("aac", ".ts"):  # where each packet gets a head
            assert written == audio, other
    assert kept


def audio_of(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


def heard_of(path: Path) -> bytes:
    """All samples that decode, as 16 bits."""
    resampler, samples = av.AudioResampler("s16"), b""
    with av.open(str(path)) as container:
        for packet in container.demux(audio=0):
            with suppress(av.FFmpegError):
                for frame in packet.decode():
                    made = resampler.resample(frame)
                    samples += b"".join(one.to_ndarray().tobytes() for one in made)
    return samples


def test_many_audio_packets_in_one_tick_do_not_drift(tmp_path: Path, render: Render) -> None:
    """1200 packets a second, as TrueHD has, in Matroska's 1000 ticks: equal times stay equal."""
    plain = rich_video(tmp_path / "plain.mkv")
    source, target = tmp_path / "a.mkv", tmp_path / "b.mkv"
    with av.open(str(plain)) as old, av.open(str(source), "w") as container:
        video = container.add_stream_from_template(old.streams.video[0], opaque=True)
        sound = container.add_stream("pcm_s16le", rate=48000, layout="mono")
        for number in range(1400):
            packet: av.Packet[av.stream.Stream] = av.Packet(number.to_bytes(2, "big") * 40)
            packet.stream, packet.time_base = sound, Fraction(1, 48000)
            packet.pts = packet.dts = number * 40
            packet.duration, packet.is_keyframe = 40, True
            container.mux(packet)
        for packet in old.demux():
            if packet.size:
                packet.stream = video
                container.mux(packet)
    render(source, target, FAST)
    before, after = streams_of(source)[1], streams_of(target)[1]
    assert after.packets == before.packets
    assert after.times == before.times
    assert after.times[-1] > 1.16


def test_the_container_has_the_colour_tags_where_the_codec_has_none(
    tmp_path: Path, render: Render
) -> None:
    source = synthetic.video(tmp_path / "a.mp4", colour=(2, 9, 9, 16), frames=4)
    ffv1 = EncodeSettings("ffv1")
    for suffix, settings in ((".mkv", WEB), (".mp4", WEB), (".mkv", ffv1), (".mp4", ffv1)):
        target = tmp_path / f"b{suffix}"
        assert check_target(source, probe(source), target, settings=settings) == Compatibility()
        render(source, target, settings)
        with av.open(str(target)) as container:
            frame = next(container.decode(video=0))
        tags = (frame.color_range, frame.colorspace, frame.color_primaries, frame.color_trc)
        assert tags == (2, 9, 9, 16), (suffix, settings.codec)


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
@pytest.mark.parametrize("language", ["deu", "fre", "nld", "jpn"])
def test_languages(language: str, suffix: str, tmp_path: Path, render: Render) -> None:
    source = rich_video(tmp_path / "a.mkv", (Track("ac3", language),))
    target = tmp_path / f"b{suffix}"
    assert check_target(source, probe(source), target, settings=FAST) == Compatibility()
    render(source, target, FAST)
    assert same_language(streams_of(target)[1].language or "", language)


def test_a_language_that_quicktime_does_not_know(tmp_path: Path) -> None:
    source = rich_video(tmp_path / "a.mkv", (Track("ac3", "yue"),))
    with pytest.raises(MediaError, match=r"the language yue of stream 1 .*use \.mkv"):
        check_target(source, probe(source), tmp_path / "b.mov", settings=FAST)
    assert check_target(source, probe(source), tmp_path / "b.mp4", settings=FAST) == Compatibility()


def test_frames_closer_than_a_tick(tmp_path: Path, render: Render) -> None:
    base = Fraction(1, 20000)
    source = synthetic.video(tmp_path / "a.mp4", pts=[0, 9, 18, 4000, 4009], time_base=base)
    with pytest.raises(MediaError, match=r"times closer than 1 ms: .*use \.mp4"):
        check_target(source, probe(source), tmp_path / "b.mkv", settings=FAST)
    made(source, tmp_path / "b.mkv", render)
    assert len(probe(tmp_path / "b.mkv").pts) == 5
    made(source, tmp_path / "b.mp4", render)
    assert probe(tmp_path / "b.mp4").pts == probe(source).pts


def test_channels_of_pcm_that_are_not_the_usual_ones(tmp_path: Path) -> None:
    source = rich_video(tmp_path / "a.mov", (Track("pcm_s16le", layout="5.1(side)"),))
    found = check_target(source, probe(source), tmp_path / "b.mkv", settings=FAST, allow_loss=True)
    (lost,) = found.incompatibilities
    assert lost.what == "the channel layout 5.1(side) of stream 1 (audio, pcm_s16le)"
    assert lost.instead == (".mp4", ".mov")


def test_mp4_keeps_a_cover_and_keys_of_ones_own(tmp_path: Path, render: Render) -> None:
    """FFmpeg's muxer writes the one or the other."""
    source = rich_video(tmp_path / "a.mkv", cover=True, metadata={"com.example.reel": "7"})
    assert made(source, tmp_path / "b.mp4", render) == Compatibility()
    assert [stream.kind for stream in streams_of(tmp_path / "b.mp4")] == ["video", "cover"]
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert container.metadata["COM.EXAMPLE.REEL"] == "7"  # which Matroska writes large


def test_no_muxer_is_named_outside_its_row() -> None:
    """Neither a demuxer, nor a suffix; also not in the middle of a text such as "a{number}.mp4".

    Demuxers are named in their own module and where files are opened; what asks headers written to
    memory lies on a floor below the rows.
    """
    package = Path(containers.__file__).parents[1]
    rooms = ("containers", "demuxers", "sources", "pyav/chroma", "pyav/header_data")
    # Where a manifest is put goes by suffix, on a floor below the rows.
    allowed = {*(f"video/{room}.py" for room in rooms), "marking/manifest.py"}
    muxers = {container.muxer for container in CONTAINERS}
    used = {*demuxers.BARE, *demuxers.UNSEEKABLE, *demuxers.REFUSED, "avi", "asf", "mxf", "ogg"}
    assert {"avi", "mp4", "nut"} < muxers | used
    names = (muxers | used) - av.codecs_available  # "flv" is an encoder, too
    suffix = re.compile(rf"\S*({'|'.join(map(re.escape, READ_SUFFIXES))})")

    def is_named(text: object) -> bool:
        if not isinstance(text, str) or text in ("H.264", "H.265"):  # no suffixes
            return False
        return set(text.split(",")) <= names or suffix.fullmatch(text) is not None

    for path in sorted(package.rglob("*.py")):
        constants = [
            n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Constant)
        ]
        named = [constant.value for constant in constants if is_named(constant.value)]
        assert not named or path.relative_to(package).as_posix() in allowed, (path, named)


def test_every_suffix_is_of_one_container() -> None:
    suffixes = [suffix for container in CONTAINERS for suffix in container.suffixes]
    assert len(suffixes) == len(set(suffixes)) == len(WRITTEN_SUFFIXES)
    assert {container_of(suffix) for suffix in SUGGESTED} == set(CONTAINERS)
    assert all(container_of(Path(f"a{s.upper()}")) is container_of(s) for s in suffixes)


def test_the_page_shows_the_rows() -> None:
    """`python benchmarks/quality/containers.py --markdown docs/containers.md` writes it."""
    assert read_table(PAGE.read_text(), "rows") == rows_table()


def test_the_measurements_agree_with_the_rows() -> None:
    measured = cells(read_table(PAGE.read_text(), "measurements"))
    codecs = {"H.264": "h264", "HEVC": "hevc", "AV1": "av1", "VP9": "vp9", "FFV1": "ffv1"}
    for suffix in SUFFIXES:
        container = container_of(suffix)
        for name, codec in (codecs | {"ProRes": "prores"}).items():
            assert bool(measured[name][suffix]) is (codec in container.video_codecs), (name, suffix)
        vp9 = "vp9" in container.video_codecs
        facts = {
            "fonts and other files": container.attachments,
            "cover": container.covers is not None,
            "alpha, VP9": vp9 and container.block_additions,
            "pixel aspect ratio, VP9": vp9 and container.pixel_aspect,
            "frames 0.45 ms apart": container.tick is None or container.tick < Fraction(1, 2222),
        }
        for name, holds in facts.items():
            assert bool(measured[name][suffix]) is holds, (name, suffix)
        kept = {"track": "yes", "metadata": "as the metadata timecode", None: ""}
        assert measured["time code"][suffix] == kept[container.timecode]
        becomes = {None: "", "subrip": "yes"}
        codec = container.subtitle_codec
        assert measured["SubRip"][suffix] == becomes.get(codec, f"as {codec}")
