"""Containers: what is not named as a loss is in the target, whatever goes into whatever."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import pytest
from av.sidedata.sidedata import Type
from av.stream import AttachmentStream, Disposition

from facepipe.errors import MediaError
from facepipe.video import Compatibility, EncodeSettings, check_target, probe
from facepipe.video.muxing.languages import same_language
from facepipe.video.muxing.subtitles import TEXT_CODECS
from facepipe.video.pixel_formats import side_data
from facepipe.video.streams import codec_name, is_cover, is_made_anew
from media import synthetic
from media.film_checks import Render
from media.rich_films import RICH, Track, film

FAST = EncodeSettings("libx264", (("preset", "veryfast"),))
WEB = EncodeSettings("libvpx-vp9", (("deadline", "realtime"), ("cpu-used", "8")))
SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".ts", ".m2ts", ".nut")


@dataclass(frozen=True)
class Seen:
    """A stream as a reader of the file sees it."""

    index: int
    kind: str
    codec: str
    language: str | None
    title: str | None
    marks: Disposition
    data: bytes
    packets: tuple[str, ...]
    times: tuple[Fraction, ...]


def streams_of(path: Path) -> list[Seen]:
    """All streams but those that muxers write themselves, in the file's order."""
    data: dict[int, list[bytes]] = {}
    times: dict[int, list[Fraction]] = {}
    with av.open(str(path)) as container:
        streams = [s for s in container.streams if not is_made_anew(s)]
        for packet in container.demux(streams):
            if packet.size and bytes(packet) != b"\0\0":
                data.setdefault(packet.stream.index, []).append(bytes(packet))
                moment = (packet.pts or 0) * packet.time_base
                times.setdefault(packet.stream.index, []).append(moment)
        return [
            Seen(
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
    """Ask what will be lost, then write the target without."""
    settings = WEB if target.suffix == ".webm" else FAST
    fit = check_target(source, probe(source), target, settings=settings, allow_loss=True)
    render(source, target, settings, leave_out=fit.leave_out)
    return fit


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", RICH)
def test_what_is_not_named_is_kept(name: str, suffix: str, tmp_path: Path, render: Render) -> None:
    source, target = RICH[name](tmp_path / name), tmp_path / f"made{suffix}"
    fit = made(source, target, render)
    lost = [loss.what for loss in fit.losses]
    before, after = streams_of(source), streams_of(target)
    info = probe(source)
    late = probe(target).pts[0] * probe(target).time_base - info.pts[0] * info.time_base
    if not any(change.startswith("all streams begin") for change in fit.changes):
        assert late <= Fraction(1, 1000)
    checked = 0
    for kind in dict.fromkeys(seen.kind for seen in before):
        kept = [s for s in before if s.kind == kind and s.index not in fit.leave_out]
        there = [s for s in after if s.kind == kind]
        assert len(there) == len(kept), kind
        for one, two in zip(kept, there, strict=True):
            checked += 1
            film = one.index == info.stream_index
            named = "the film" if film else f"stream {one.index} ({one.kind}, {one.codec})"
            if not film:
                _same_content(one, two, suffix, late)
            _same_words(one, two, [what for what in lost if what.endswith(named)])
    assert checked + len(fit.leave_out) == len(before)
    _same_film(source, target, lost)


def _same_content(one: Seen, two: Seen, suffix: str, late: Fraction) -> None:
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
        # coarse ticks of the source, told in fine ones, are those of the sound's own rate
        tick += Fraction(1, 1000)
        assert all(abs(b - a - late) <= tick for a, b in zip(one.times, two.times, strict=True)), (
            one,
            two,
        )


def _same_words(one: Seen, two: Seen, lost: list[str]) -> None:
    if one.language and not any("the language" in what for what in lost):
        assert same_language(one.language, two.language or ""), (one, two)
    if not any("the metadata title" in what for what in lost):
        assert two.title == one.title
    for mark in one.marks & ~(Disposition.captions | Disposition.descriptions):
        named = any(what.startswith(f"the mark {mark.name}") for what in lost)
        assert named or mark & two.marks or mark == Disposition.default, (mark, one, two)


def _same_film(source: Path, target: Path, lost: list[str]) -> None:
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
    assert chapters[0] == chapters[1] or "the chapters" in lost
    for key in ("title", "artist", "com.example.reel", "com.example.model", "timecode"):
        if key in keys[0] and f"the metadata {key}" not in lost:
            assert keys[1][key] == keys[0][key]


SOUNDS = {
    ".mkv": ("aac", "ac3", "eac3", "mp2", "libmp3lame", "flac", "alac", "libopus", "tta",
             "wavpack", "pcm_s16le", "pcm_s24le", "pcm_f32le", "pcm_u8"),
    ".mov": ("pcm_s16be", "pcm_s24le", "pcm_alaw", "adpcm_ima_qt", "libopencore_amrnb"),
    ".nut": ("adpcm_ms", "pcm_mulaw"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("suffix", "codec"), [(suffix, codec) for suffix, all_ in SOUNDS.items() for codec in all_]
)
def test_sounds_are_kept_to_the_byte_or_named(
    suffix: str, codec: str, tmp_path: Path, render: Render
) -> None:
    try:
        source = film(tmp_path / f"a{suffix}", (Track(codec, "eng"),))
    except av.codec.codec.UnknownCodecError:
        pytest.skip(f"there is no {codec} here")
    sound = b"".join(sounds_of(source))
    kept = 0
    for other in (".mp4", ".mov", ".mkv", ".ts", ".nut"):
        target = tmp_path / f"made{other}"
        fit = made(source, target, render)
        if fit.leave_out:
            (loss,) = [loss for loss in fit.losses if loss.stream is not None]
            assert loss.instead
            continue
        kept += 1
        written = b"".join(sounds_of(target))
        if (codec, other) != ("aac", ".ts"):  # where each packet gets a head
            assert written == sound, other
    assert kept


def sounds_of(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


def test_many_sounds_in_one_tick_do_not_drift(tmp_path: Path, render: Render) -> None:
    """1200 packets a second, as TrueHD has, in Matroska's 1000 ticks: equal times stay equal."""
    plain = film(tmp_path / "plain.mkv")
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


def test_colours_stand_in_the_container_where_the_codec_has_no_room(
    tmp_path: Path, render: Render
) -> None:
    source = synthetic.film(tmp_path / "a.mp4", colour=(2, 9, 9, 16), frames=4)
    ffv1 = EncodeSettings("ffv1")
    for suffix, settings in ((".mkv", WEB), (".mp4", WEB), (".mkv", ffv1), (".mp4", ffv1)):
        target = tmp_path / f"b{suffix}"
        assert check_target(source, probe(source), target, settings=settings).losses == ()
        render(source, target, settings)
        with av.open(str(target)) as container:
            frame = next(container.decode(video=0))
        tags = (frame.color_range, frame.colorspace, frame.color_primaries, frame.color_trc)
        assert tags == (2, 9, 9, 16), (suffix, settings.codec)


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
@pytest.mark.parametrize("language", ["deu", "fre", "nld", "jpn"])
def test_languages(language: str, suffix: str, tmp_path: Path, render: Render) -> None:
    source = film(tmp_path / "a.mkv", (Track("ac3", language),))
    target = tmp_path / f"b{suffix}"
    assert check_target(source, probe(source), target, settings=FAST).losses == ()
    render(source, target, FAST)
    assert same_language(streams_of(target)[1].language or "", language)


def test_a_language_that_quicktime_does_not_know(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mkv", (Track("ac3", "yue"),))
    with pytest.raises(MediaError, match=r"the language yue of stream 1 .*use \.mkv"):
        check_target(source, probe(source), tmp_path / "b.mov", settings=FAST)
    assert check_target(source, probe(source), tmp_path / "b.mp4", settings=FAST).losses == ()


def test_pictures_closer_than_a_tick(tmp_path: Path, render: Render) -> None:
    base = Fraction(1, 20000)
    source = synthetic.film(tmp_path / "a.mp4", pts=[0, 9, 18, 4000, 4009], time_base=base)
    with pytest.raises(MediaError, match=r"times closer than 1 ms: .*use \.mp4"):
        check_target(source, probe(source), tmp_path / "b.mkv", settings=FAST)
    made(source, tmp_path / "b.mkv", render)
    assert len(probe(tmp_path / "b.mkv").pts) == 5
    made(source, tmp_path / "b.mp4", render)
    assert probe(tmp_path / "b.mp4").pts == probe(source).pts


def test_channels_of_pcm_that_are_not_the_usual_ones(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mov", (Track("pcm_s16le", layout="5.1(side)"),))
    fit = check_target(source, probe(source), tmp_path / "b.mkv", settings=FAST, allow_loss=True)
    (loss,) = fit.losses
    assert loss.what == "the channel layout 5.1(side) of stream 1 (audio, pcm_s16le)"
    assert loss.instead == (".mp4", ".mov")


def test_a_cover_in_mp4_is_worth_more_than_keys_of_ones_own(tmp_path: Path, render: Render) -> None:
    """That muxer writes the one or the other: which of them goes is told."""
    source = film(tmp_path / "a.mkv", cover=True, metadata={"com.example.reel": "7"})
    fit = made(source, tmp_path / "b.mp4", render)
    assert [loss.what for loss in fit.losses] == ["the metadata com.example.reel"]
    assert [seen.kind for seen in streams_of(tmp_path / "b.mp4")] == ["video", "cover"]
