"""Videos that hold as much as their container can, made on the fly."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition
from PIL import Image

from media import synthetic

STYLES = (
    "[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\n"
    "Format: Name, Fontname, Fontsize, PrimaryColour, Bold, Italic, Underline, Alignment\n"
    "Style: Default,Arial,16,&Hffffff,0,0,0,2\nStyle: Sign,Arial,20,&Hff,-1,0,0,8\n\n[Events]\n"
    "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
)
_MS = Fraction(1, 1000)
NO_DISPOSITION = Disposition(0)
_PAYLOADS = {
    "subrip": (b"One <i>two</i>", b"three"),
    "webvtt": (b"One <i>two</i>", b"three"),
    "mov_text": (b"\0\x03One", b"\0\x05three"),
    "ass": (b"0,0,Default,,0,0,0,,One", b"1,0,Sign,,0,0,0,,three"),
    "hdmv_pgs_subtitle": (b"\x16\0\x05not a", b"\x80\0\0"),
    "dvb_subtitle": (b"\x0f\x10\0\x01\0\x02\x05\x10", b"\x0f\x80\0\x01\0\0"),
    "klv": (b"\x06\x0e\x2b\x34one", b"\x06\x0e\x2b\x34two"),
    "timed_id3": (b"ID3one", b"ID3two"),
    "bin_data": (b"DEVC\0\1\0\0", b"DEVC\0\1\0\1"),
}


@dataclass(frozen=True)
class Track:
    """A stream besides the video: `codec` is an audio encoder, or a key of `_PAYLOADS`."""

    codec: str
    language: str | None = None
    disposition: Disposition = NO_DISPOSITION
    metadata: Mapping[str, str] | None = None
    layout: str = "stereo"


def rich_video(
    path: Path,
    tracks: Sequence[Track] = (),
    *,
    codec: str = "libx264",
    options: Mapping[str, str] | None = None,
    metadata: Mapping[str, str] | None = None,
    chapters: bool = False,
    rotation: int | None = None,
    mirrored: bool = False,
    container_options: Mapping[str, str] | None = None,
    video_metadata: Mapping[str, str] | None = None,
    font: bool = False,
    cover: bool = False,
) -> Path:
    """30 frames at 25 fps, from 0.4 s on, with `tracks`; `video_metadata` is the video stream's."""
    quick = {"preset": "ultrafast", "x264-params": "asm=0", "g": "10"} if codec == "libx264" else {}
    with av.open(str(path), "w", container_options=dict(container_options or {})) as container:
        video = container.add_stream(codec, rate=25, options=quick | dict(options or {}))
        assert isinstance(video, av.VideoStream)
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        video.time_base = video.codec_context.time_base = Fraction(1, 25)
        video.metadata.update(video_metadata or {})
        if rotation is not None or mirrored:
            video.set_display_rotation(rotation or 0, hflip=mirrored)
        streams = [_added(container, track) for track in tracks]
        if font:
            kind = "application/x-truetype-font"
            container.add_attachment("letters.ttf", kind, b"not a font" * 9)
        if cover:
            container.add_attachment("cover.png", "image/png", _png())
        container.metadata.update(metadata or {})
        if chapters:
            container.set_chapters(
                [
                    {"id": 1, "start": 0, "end": 800, "time_base": _MS,
                     "metadata": {"title": "Öne"}},
                    {"id": 2, "start": 800, "end": 1600, "time_base": _MS,
                     "metadata": {"title": "two"}},
                ]
            )  # fmt: skip
        packets = [p for s, t in zip(streams, tracks, strict=True) for p in _packets(s, t)]
        for number in range(30):
            frame = av.VideoFrame.from_ndarray(synthetic.picture(number), "rgb24")
            frame = frame.reformat(format="yuv420p")
            frame.pts, frame.time_base = 10 + number, Fraction(1, 25)
            packets += video.encode(frame)
        packets += video.encode(None)
        for packet in sorted(packets, key=lambda p: (p.dts or 0) * p.time_base):
            container.mux(packet)
    return path


def _added(container: av.container.OutputContainer, track: Track) -> av.stream.Stream:
    if track.codec not in _PAYLOADS:
        rates = av.codec.Codec(track.codec, "w").audio_rates
        rate = 48000 if not rates or 48000 in rates else rates[0]
        layout = "mono" if track.codec == "libopencore_amrnb" else track.layout
        stream: av.stream.Stream = container.add_stream(track.codec, rate=rate, layout=layout)
        stream.codec_context.options = {"strict": "-2"}
    elif track.codec in ("klv", "timed_id3", "bin_data"):
        stream = container.add_data_stream(track.codec)
    elif track.codec in ("hdmv_pgs_subtitle", "dvb_subtitle"):
        stream = container.add_mux_stream(track.codec)
    else:
        stream = container.add_stream(track.codec)
        assert isinstance(stream, av.subtitles.stream.SubtitleStream)
        stream.codec_context.subtitle_header = STYLES.encode()
    if track.codec in _PAYLOADS:
        stream.time_base = _MS
    stream.disposition = track.disposition
    if track.language:
        stream.metadata["language"] = track.language
    stream.metadata.update(track.metadata or {})
    return stream


def _packets(stream: av.stream.Stream, track: Track) -> list[av.Packet[av.stream.Stream]]:
    if track.codec in _PAYLOADS:
        made = []
        for start, data in zip((500, 1100), _PAYLOADS[track.codec], strict=True):
            packet: av.Packet[av.stream.Stream] = av.Packet(data)
            packet.stream, packet.time_base = stream, _MS
            packet.pts = packet.dts = start
            packet.duration, packet.is_keyframe = 400, True
            made.append(packet)
        return made
    assert isinstance(stream, av.AudioStream)
    context = stream.codec_context
    rate = context.sample_rate
    wave = (np.sin(np.arange(rate * 6 // 5) * 0.05) * 9000).astype(np.int16)
    channels = context.layout.nb_channels
    layout = context.layout.name
    whole = av.AudioFrame.from_ndarray(np.repeat(wave, channels)[None], "s16", layout)
    whole.sample_rate, whole.pts, whole.time_base = rate, rate * 2 // 5, Fraction(1, rate)
    formats = context.codec.audio_formats or []
    size = context.frame_size or 1024
    cut = av.AudioResampler(formats[0].name, layout, rate, frame_size=size)
    frames = [*cut.resample(whole), *cut.resample(None)]
    return [packet for frame in [*frames, None] for packet in stream.encode(frame)]


def _png() -> bytes:
    file = io.BytesIO()
    Image.fromarray(synthetic.picture(0)).save(file, "PNG")
    return file.getvalue()


def with_everything(path: Path) -> Path:
    """Matroska with audio and subtitles in several languages, fonts, a cover, chapters, keys."""
    return rich_video(
        path,
        (
            Track("ac3", "eng", Disposition.default | Disposition.original, {"title": "Main"}),
            Track("aac", "deu", Disposition.hearing_impaired, {"title": "Für alle"}),
            Track("flac", None, Disposition.comment, layout="5.1(side)"),
            Track("subrip", "fra", Disposition.forced, {"title": "Pour tous"}),
            Track("ass", "jpn"),
            Track("hdmv_pgs_subtitle", "spa"),
        ),
        metadata={"title": "Ä video", "com.example.reel": "7", "artist": "me"},
        chapters=True,
        video_metadata={"title": "Picture", "language": "eng"},
        font=True,
        cover=True,
    )


def phone_video(path: Path) -> Path:
    """QuickTime as a phone makes it: rotated, with a time code and a track of an unknown codec."""
    known = rich_video(
        path.with_name("known.mp4"),
        (
            Track("aac", "eng", Disposition.default),
            Track("mov_text", "ger"),
            Track("bin_data"),
        ),
        metadata={"title": "Trip", "com.example.model": "X1", "timecode": "01:02:03:04"},
        rotation=90,
        container_options={"movflags": "use_metadata_tags"},
    )
    path.write_bytes(known.read_bytes().replace(b"gpmd", b"mebx"))
    return path


def action_camera_video(path: Path) -> Path:
    """MP4 as an action camera makes it: its data track has a codec that mp4 knows."""
    return rich_video(
        path, (Track("aac", "eng", Disposition.default), Track("bin_data")), mirrored=True
    )


def broadcast(path: Path) -> Path:
    """A transport stream: MPEG-2, two languages, one of them for the hearing impaired."""
    return rich_video(
        path,
        (
            Track("mp2", "eng"),
            Track("ac3", "deu", Disposition.hearing_impaired),
            Track("dvb_subtitle", "eng"),
            Track("klv"),
        ),
        codec="mpeg2video",
        options={"bf": "2", "g": "10"},
        metadata={"service_name": "Das Örtliche", "service_provider": "ACME"},
        container_options={
            "mpegts_copyts": "1",
            "mpegts_start_pid": "512",
            "mpegts_pmt_start_pid": "768",
            "mpegts_service_id": "28106",
            "mpegts_transport_stream_id": "1101",
            "mpegts_original_network_id": "8438",
        },
    )


def web_video(path: Path) -> Path:
    """WebM: VP9, Opus and WebVTT."""
    return rich_video(
        path,
        (Track("libopus", "eng", Disposition.default), Track("webvtt", "fra")),
        codec="libvpx-vp9",
        options={"deadline": "realtime", "cpu-used": "8"},
        metadata={"title": "Web"},
        chapters=True,
    )


#: Videos that hold much, by the name of the file that they go to.
RICH: Mapping[str, Callable[[Path], Path]] = {
    "everything.mkv": with_everything,
    "phone.mov": phone_video,
    "action.mp4": action_camera_video,
    "broadcast.ts": broadcast,
    "web.webm": web_video,
}
