"""User data: taken out of packets and put into others, bit by bit."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import pytest

from facepipe.video import EncodeSettings, check_target, mux, probe, smart_render_of
from facepipe.video.bitstream import nal_units
from facepipe.video.user_data import Message, messages_of, with_messages, without_place
from media import synthetic
from media.boxes import ENTRY, box, full, projection_of, with_boxes
from media.user_data import user_data_of, with_user_data
from media.video_checks import Render, rendered, whole

_SLICE = {"h264": b"\x65slice", "hevc": b"\x26\x01slice"}
_UUID = bytes(range(16))
_X264 = bytes.fromhex("dc45e9bde6d948b7962cd820d923eeef")
_CAPTIONS = b"\xb5\x00\x31GA94\x03"
_X265 = {"preset": "ultrafast", "x265-params": "log-level=none:pools=1"}


def packet(codec: str) -> bytes:
    return b"\x12\0\x32\x02ab" if codec == "av1" else b"\0\0\0\1" + _SLICE[codec]


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("length", [0, 1, 16, 254, 255, 256, 700])
def test_a_message_comes_out_as_it_went_in(codec: str, length: int) -> None:
    for rest in (b"\0" * length, b"\0\0\1\0\0\3"[:length] * 3, bytes(range(256))[:length]):
        message = Message(5, _UUID + rest)
        made = with_messages(codec, packet(codec), [message])
        assert messages_of(codec, made, None) == (message,)
        assert made.endswith(packet(codec))
        assert made.count(b"\0\0\1") == 2  # nothing in it looks like a start code


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
def test_several_messages_and_none(codec: str) -> None:
    messages = (Message(4, b"\xb5\x00\x99one"), Message(4, b"\xb5\x00\x99two" * 70))
    assert messages_of(codec, with_messages(codec, packet(codec), messages), None) == messages
    assert with_messages(codec, packet(codec), ()) == packet(codec)


def test_an_encoder_that_has_written_the_same_is_not_doubled() -> None:
    captions = Message(4, _CAPTIONS + b"words")
    once = with_messages("h264", packet("h264"), [captions])
    assert with_messages("h264", once, [captions]) == once
    assert len(messages_of("h264", with_messages("h264", once, [Message(5, _UUID)]), None)) == 2


def test_signatures_of_encoders_are_left_behind() -> None:
    signed = with_messages("h264", packet("h264"), [Message(5, _X264 + b"x264 - core 165")])
    assert len(signed) > len(packet("h264"))
    assert messages_of("h264", signed, None) == ()


def test_damaged_messages_are_passed_over() -> None:
    whole_one = with_messages("h264", packet("h264"), [Message(5, _UUID + b"x" * 40)])
    for end in range(len(whole_one)):
        messages_of("h264", whole_one[:end], None)
        messages_of("av1", whole_one[:end], None)
        messages_of("hevc", bytes(255 for _ in range(end)), 4)


def test_what_has_no_place_is_named() -> None:
    assert list(without_place([(5, 3)], "h264")) == []
    assert list(without_place([(4, 2), (5, 3)], "av1")) == [
        "the user data of its pictures (3 have some)"
    ]


@pytest.mark.parametrize("registered", [True, False], ids=["registered", "with a UUID"])
@pytest.mark.parametrize(
    ("codec", "options", "suffix", "target"),
    [
        ("libx264", {"bf": "2"}, ".mkv", ".ts"),
        ("libx264", {"bf": "2"}, ".ts", ".mp4"),
        ("libx265", _X265, ".mp4", ".mkv"),
    ],
)
def test_every_picture_keeps_its_own(
    codec: str, options: dict[str, str], suffix: str, target: str, registered: bool,
    tmp_path: Path, render: Render,
) -> None:  # fmt: skip
    source = with_user_data(
        tmp_path / f"in{suffix}",
        partial(synthetic.video, codec=codec, options=options, frames=12),
        lambda n: f"{n}" if n % 3 else None,
        registered=registered,
    )
    assert probe(source).user_data == ((4 if registered else 5, 8),)
    render(source, tmp_path / f"out{target}", EncodeSettings("libx264", (("preset", "fast"),)))
    before, after = (user_data_of(tmp_path / name) for name in (source.name, f"out{target}"))
    assert len(before) == 8
    assert list(after.values()) == list(before.values())
    assert all(abs(a - b) < Fraction(1, 1000) for a, b in zip(after, before, strict=True))


def test_mpeg2_tells_what_it_has(tmp_path: Path) -> None:
    source = with_user_data(
        tmp_path / "in.mkv",
        partial(synthetic.video, codec="mpeg2video", pts=range(6), time_base=Fraction(1, 25)),
        lambda n: "here" if n else None,
        registered=False,
    )
    assert list(without_place(probe(source).user_data, "h264")) == [
        "the user data of its pictures (5 have some)"
    ]


def with_second_view(path: Path) -> Path:
    """HEVC in which each picture's slices come a second time, as those of another layer."""
    plain = synthetic.video(
        path.with_name("plain.mkv"), codec="libx265", options=_X265, frames=4, size=(96, 64)
    )
    with av.open(str(plain)) as given, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(given.streams.video[0], opaque=True)
        for packet in given.demux(given.streams.video[0]):
            if packet.size:
                data = bytes(packet)
                more = b"".join(
                    (len(unit)).to_bytes(4, "big") + bytes([unit[0], unit[1] | 8]) + unit[2:]
                    for unit in nal_units(data, 4)
                    if unit[0] >> 1 < 32
                )
                made = av.Packet(data + more)
                made.pts, made.dts, made.time_base = packet.pts, packet.dts, packet.time_base
                made.is_keyframe, made.stream = packet.is_keyframe, stream
                out.mux_one(made)
    eyes = box("vexu", box("eyes", full("stri", b"\3")))
    return with_boxes(path, lambda _: path, (ENTRY, eyes))


def test_a_second_view_is_named_and_no_longer_told_of(tmp_path: Path) -> None:
    source = with_second_view(tmp_path / "in.mp4")
    info = probe(source)
    assert info.has_second_view
    settings = EncodeSettings("libx264", (("preset", "ultrafast"),))
    found = check_target(source, info, tmp_path / "out.mp4", settings=settings, allow_loss=True)
    assert any("the second view of its pictures" in note for note in found.notes)
    assert smart_render_of(info, replace(settings, pix_fmt="yuv420p"), source).extent == "none"
    part = rendered(info, whole(info), tmp_path / "part.nut", settings)
    for suffix in (".mp4", ".mkv"):
        mux([part], source, info, tmp_path / f"out{suffix}", settings=settings, metadata={})
        assert projection_of(tmp_path / f"out{suffix}") == (b"", None)
    assert b"vexu" not in (tmp_path / "out.mp4").read_bytes()
    assert not probe(synthetic.plain(tmp_path / "plain.mp4")).has_second_view
