"""Timing in headers: what encoded video states is what the source states, as FFmpeg reads both."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest
from av.bitstream import BitStreamFilterContext

from facepipe.datatypes import VideoInfo
from facepipe.video import EncodeSettings, encode, probe
from facepipe.video.bitstream import START, is_sequence_set, nal_units
from facepipe.video.decode import decode
from facepipe.video.timing_info import (
    TimingInfo,
    h264_timing,
    stated_timing,
    timing_to_state,
    with_h264_timing,
)
from media import synthetic
from media.video_checks import whole

_NTSC = Fraction(1001, 30000)
_FAST = {
    "libx264": EncodeSettings("libx264", (("preset", "ultrafast"),), threads=1),
    "libx265": EncodeSettings("libx265", (("preset", "ultrafast"),), threads=1),
    "libsvtav1": EncodeSettings("libsvtav1", (("preset", "11"),), threads=1),
}
_BARE = {"libx264": "h264", "libx265": "hevc", "libsvtav1": "obu"}


def header_of(path: Path) -> bytes:
    with av.open(str(path)) as container:
        return container.streams.video[0].codec_context.extradata or b""


def rate_read(part: Path, codec: str) -> Fraction:
    """Frames per second of a bare stream of a part's packets, which has no clock but its header."""
    bare = part.with_suffix(f".{_BARE[codec]}")
    with av.open(str(part)) as container:
        stream = container.streams.video[0]
        header = b"" if codec == "libsvtav1" else stream.codec_context.extradata or b""
        bare.write_bytes(header + b"".join(bytes(p) for p in container.demux(stream) if p.size))
    with av.open(str(bare), format=_BARE[codec]) as container:
        next(container.decode(video=0))
        return container.streams.video[0].codec_context.framerate


def part_of(info: VideoInfo, folder: Path, codec: str = "libx264") -> Path:
    part = folder / "part.nut"
    frames = decode(info, whole(info))
    encode(frames, part, info=info, span=whole(info), settings=_FAST[codec])
    return part


def ntsc(path: Path, codec: str = "libx264", **how: object) -> Path:
    """A video whose header states 30000/1001, as those of FFmpeg's own program do."""
    settings = {"pts": range(12), "time_base": _NTSC, "codec": codec, **how}
    return synthetic.video(path, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("source", ["libx264", "libx265"])
@pytest.mark.parametrize("target", ["libx264", "libx265", "libsvtav1"])
def test_the_rate_of_the_source_is_stated(source: str, target: str, tmp_path: Path) -> None:
    info = probe(ntsc(tmp_path / "a.mp4", source))
    assert rate_read(part_of(info, tmp_path, target), target) == 1 / _NTSC


def test_the_same_codec_states_the_same_even_where_that_is_no_rate(tmp_path: Path) -> None:
    info = probe(synthetic.vfr(tmp_path / "a.mp4"))
    stated = stated_timing(info)
    assert stated is not None
    assert Fraction(stated.units, stated.scale) * 2 == synthetic.TICKS
    assert stated_timing(probe(part_of(info, tmp_path))) == stated


def test_nothing_is_stated_where_the_source_states_nothing(tmp_path: Path) -> None:
    info = probe(ntsc(tmp_path / "a.mp4"))
    silent = tuple(
        next(nal_units(with_h264_timing(START + unit, None), None)) for unit in info.parameter_sets
    )
    info = replace(info, parameter_sets=silent)
    assert stated_timing(info) is None
    part = part_of(info, tmp_path)
    assert stated_timing(probe(part)) is None
    assert probe(part).frames_per_second == pytest.approx(30000 / 1001)


def test_hevc_states_nothing_where_the_source_varies(tmp_path: Path) -> None:
    info = replace(probe(synthetic.vfr(tmp_path / "a.mp4")), codec="mjpeg", parameter_sets=())
    assert timing_to_state(info, "hevc") is None
    assert stated_timing(probe(part_of(info, tmp_path, "libx265"))) is None


def test_of_a_source_that_states_nothing_the_constant_rate_is_stated(tmp_path: Path) -> None:
    info = probe(ntsc(tmp_path / "a.mkv"))
    assert info.time_base == Fraction(1, 1000)
    told = timing_to_state(replace(info, codec="mjpeg"), "h264")
    # So few frames, in milliseconds, may be 30 a second just as well.
    assert told == TimingInfo(1, 60, is_fixed=True)
    several = replace(info, codec="mjpeg", pts=tuple(round(n * 1001 / 30) for n in range(300)))
    assert timing_to_state(several, "h264") == TimingInfo(1001, 60000, is_fixed=True)
    assert timing_to_state(several, "hevc") == TimingInfo(1001, 30000, is_fixed=True)
    assert timing_to_state(several, "vp9") is None


def test_interlaced_video_states_its_fields(tmp_path: Path) -> None:
    source = ntsc(tmp_path / "a.mp4", interlaced=True, filters=["setfield=tff"])
    info = probe(source)
    assert timing_to_state(info, "h264") == stated_timing(info)
    assert rate_read(part_of(info, tmp_path), "libx264") == 1 / _NTSC


def test_av1_states_what_its_source_states(tmp_path: Path) -> None:
    plain = ntsc(tmp_path / "a.mkv", "libsvtav1", options={"preset": "11"})
    info = probe(plain)
    assert stated_timing(info) is None
    assert stated_timing(probe(part_of(info, tmp_path, "libsvtav1"))) is None
    adding = BitStreamFilterContext(
        "av1_metadata=tick_rate=30000/1001:num_ticks_per_picture=1", "av1"
    )
    header = b"".join(bytes(one) for one in adding.filter(av.Packet(info.extradata[4:])))
    timed = replace(info, extradata=header)
    assert stated_timing(timed) == TimingInfo(1001, 30000, is_fixed=True)
    part = part_of(timed, tmp_path, "libsvtav1")
    assert stated_timing(probe(part)) == TimingInfo(1001, 30000, is_fixed=True)
    assert rate_read(part, "libsvtav1") == 1 / _NTSC
    with av.open(str(part)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 12


@pytest.mark.parametrize(
    "timing",
    [None, TimingInfo(1, 2), TimingInfo(1001, 60000, True), TimingInfo(2**32 - 1, 2**32 - 1)],
)
@pytest.mark.parametrize("described", [True, False], ids=["with-aspect-and-colours", "plain"])
def test_parameter_sets_keep_all_else(
    timing: TimingInfo | None, described: bool, tmp_path: Path
) -> None:
    how = {"aspect": Fraction(17, 13), "colour": (1, 9, 9, 16)} if described else {}
    part = part_of(probe(ntsc(tmp_path / "a.mp4", size=(98, 66), **how)), tmp_path)
    header = header_of(part)
    changed = with_h264_timing(header, timing)
    sets = [unit for unit in nal_units(changed, None) if is_sequence_set("h264", unit)]
    assert [h264_timing(unit) for unit in sets] == [timing]
    own = next(unit for unit in nal_units(header, None) if is_sequence_set("h264", unit))
    assert with_h264_timing(changed, h264_timing(own)) == header
    # FFmpeg's own parser and writer of parameter sets leaves them as they are.
    checking = BitStreamFilterContext("h264_metadata", "h264")
    again = b"".join(bytes(one) for one in checking.filter(av.Packet(changed)))
    assert [*nal_units(again, None)] == [*nal_units(changed, None)]


def test_the_ticks_of_a_buffer_model_stay(tmp_path: Path) -> None:
    how = {"maxrate": "1M", "bufsize": "1M", "nal-hrd": "vbr"}
    header = header_of(ntsc(tmp_path / "a.nut", options=how))
    assert with_h264_timing(header, TimingInfo(1, 7)) == header


def test_a_parameter_set_without_usability_information_gets_some() -> None:
    # Its id, counts and sizes, then flags: frames only, 8x8, no cropping, no usability information.
    content = "1" + "1" + "011" + "011" + "0" + "1" + "1" + "1" + "1" + "0" + "0"
    bits = f"{content}1".ljust(24, "0")
    bare = bytes([0x67, 66, 0xC0, 10]) + int(bits, 2).to_bytes(3, "big")
    timing = TimingInfo(1001, 60000)
    assert h264_timing(bare) is None
    stated = next(nal_units(with_h264_timing(START + bare, timing), None))
    assert h264_timing(stated) == timing
    assert h264_timing(next(nal_units(with_h264_timing(START + bare, None), None))) is None


def test_headers_that_are_no_headers_state_nothing(tmp_path: Path) -> None:
    info = probe(ntsc(tmp_path / "a.mp4"))
    for codec in ("h264", "hevc", "av1", "vp9"):
        for junk in (b"", b"\x67", b"\x67" + b"\xff" * 40, b"\x0a\x0b\x00"):
            broken = replace(info, codec=codec, parameter_sets=(junk,), extradata=junk)
            assert stated_timing(broken) is None or codec == "h264"
