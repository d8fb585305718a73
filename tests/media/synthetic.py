"""Hostile clips, made on the fly: one function for each, which says what is hostile in it.

Every function takes the path to write and gives it back. Pictures are a moving gradient with
blocks of seeded noise, so that each frame differs from its neighbours in every block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from av.stream import Stream
from av.subtitles.stream import SubtitleStream
from numpy.typing import NDArray

from media.drawing import HEIGHT, WIDTH, frames_of
from media.drawing import picture as picture
from media.drawing import shape as shape

TICKS = Fraction(1, 12800)
STEP = 512  # 25 frames a second in TICKS


def video(
    path: Path,
    *,
    pts: Sequence[int] | None = None,
    frames: int = 30,
    time_base: Fraction = TICKS,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    audio: int = 0,
    audio_start: int = 0,
    audio_rate: int = 8000,
    subtitle: str | None = None,
    rotation: int | None = None,
    aspect: Fraction | None = None,
    colour: tuple[int, int, int, int] | None = None,
    interlaced: bool = False,
    metadata: dict[str, str] | None = None,
    chapters: bool = False,
    format: str | None = None,
    pictures: Callable[[int], NDArray[np.uint8]] | None = None,
    filters: Sequence[str] = (),
) -> Path:
    """The common kitchen: a video of `frames` pictures, or of one for each of `pts`.

    `pictures` gives RGB or RGBA by number, where it should be others than the gradient; `filters`
    are what FFmpeg does to each before it is encoded, such as "setfield=bff".

    `colour` is range, matrix, primaries and transfer by H.273's numbers; `audio` counts AAC
    tracks of `audio_rate` Hz, `audio_start` is in samples; `subtitle` is a codec for two subtitles.
    """
    times = list(pts) if pts is not None else [STEP * number for number in range(frames)]
    defaults = {"preset": "ultrafast", "g": "10", "bf": "2"} if codec.startswith("libx26") else {}
    if codec == "libx264":
        defaults["x264-params"] = "asm=0"  # with AVX-512, pictures so small differ between runs
    if codec == "libx265":
        defaults["x265-params"] = "log-level=none:pools=1"
    if codec == "libsvtav1":
        defaults["svtav1-params"] = "lp=1"  # its threads seldom give packets in the wrong order
    with av.open(
        str(path), "w", format=format, container_options=container_options or {}
    ) as container:
        stream = container.add_stream(
            codec, rate=_rate(times, time_base), options=defaults | (options or {})
        )
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        stream.codec_context.time_base = time_base
        stream.time_base = time_base
        stream.thread_count = 1
        if interlaced:
            stream.codec_context.flags |= 0x00040000 | 0x20000000  # coded by fields
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        if colour is not None:
            context = stream.codec_context
            context.color_range, context.colorspace = colour[:2]
            context.color_primaries, context.color_trc = colour[2:]
        if rotation is not None:
            stream.set_display_rotation(rotation)
        sounds = [container.add_stream("aac", rate=audio_rate, layout="mono") for _ in range(audio)]
        for number, sound in enumerate(sounds):
            sound.metadata["language"] = ("eng", "deu", "fra")[number]
        if subtitle is not None:
            subtitles = container.add_stream(subtitle)
            assert isinstance(subtitles, SubtitleStream)
            subtitles.time_base = Fraction(1, 1000)
            subtitles.codec_context.subtitle_header = (
                b"[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\n"
                b"Format: Name, Fontname, Fontsize\nStyle: Default,Arial,16\n\n[Events]\n"
                b"Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
            )
        container.metadata.update(metadata or {})
        if chapters:
            container.set_chapters(
                [
                    {"id": 1, "start": 0, "end": 500, "time_base": Fraction(1, 1000),
                     "metadata": {"title": "one"}},
                    {"id": 2, "start": 500, "end": 1200, "time_base": Fraction(1, 1000),
                     "metadata": {"title": "two"}},
                ]
            )  # fmt: skip
        for packet in _audio_packets(sounds, audio_start, times, time_base):
            container.mux(packet)
        if subtitle is not None:
            _mux_subtitles(container, subtitles, subtitle)
        drawn = (pictures(n) if pictures else picture(n, *size) for n in range(len(times)))
        for frame in frames_of(drawn, times, time_base, pix_fmt, filters):
            if colour is not None:
                frame.color_range, frame.colorspace = colour[:2]
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _rate(times: Sequence[int], time_base: Fraction) -> Fraction:
    """Frames a second, 25 where they do not come evenly."""
    steps = {after - time for time, after in pairwise(times)}
    return 1 / (steps.pop() * time_base) if len(steps) == 1 else Fraction(25)


def plain(path: Path, frames: int = 30) -> Path:
    """H.264 with B-frames at 25 fps, keyframes every 10 frames, no sound, no tags."""
    return video(path, frames=frames)


def vfr(path: Path) -> Path:
    """Uneven steps: a tool that counts frames or trusts a rate moves or doubles pictures."""
    rng = np.random.default_rng(7)
    return video(path, pts=[0, *np.cumsum(rng.integers(100, 2000, 29)).tolist()], audio=1)


def late_video(path: Path) -> Path:
    """The video starts 0.85 s after the sound."""
    return video(path, pts=[10880 + STEP * n for n in range(25)], audio=1)


def negative_start(path: Path) -> Path:
    """Sound begins before time zero (encoder delay) and so do two pictures, which are skipped."""
    return video(path, pts=[STEP * (n - 2) for n in range(27)], audio=1, audio_start=-1024)


def odd_size(path: Path) -> Path:
    """97x65 in 4:2:0 (FFV1 in Matroska): chroma planes are rounded up."""
    return video(path, size=(97, 65), codec="ffv1", frames=12)


def rotated(path: Path) -> Path:
    """Coded sideways: the display matrix turns it by 90 degrees."""
    return video(path, rotation=90, frames=12)


def anamorphic(path: Path) -> Path:
    """Pixels that are not square: 16:11."""
    return video(path, aspect=Fraction(16, 11), frames=12)


def ten_bit(path: Path) -> Path:
    """10-bit H.264, tagged bt2020."""
    return video(path, pix_fmt="yuv420p10le", colour=(1, 9, 9, 14), frames=15)


def hdr(path: Path) -> Path:
    """10-bit HEVC, PQ, with mastering display and content light level."""
    display = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
    params = f"master-display={display}:max-cll=1000,400:log-level=none:pools=1"
    return video(
        path,
        codec="libx265",
        pix_fmt="yuv420p10le",
        colour=(1, 9, 9, 16),
        options={"x265-params": params},
        frames=6,
    )


def with_extras(path: Path, source: Path) -> Path:
    """Another video in Matroska with a font attached and a cover."""
    with av.open(str(source)) as video, av.open(str(path), "w") as container:
        streams = {s.index: container.add_stream_from_template(s, opaque=True)
                   for s in video.streams}  # fmt: skip
        container.add_attachment("letters.ttf", "application/x-truetype-font", b"not a font" * 9)
        container.add_attachment("cover.png", "image/png", _png())
        for packet in video.demux():
            if packet.size:
                packet.stream = streams[packet.stream.index]
                container.mux(packet)
    return path


def full_range(path: Path) -> Path:
    """Full range, tagged: decoders call it yuvj420p."""
    return video(path, pix_fmt="yuvj420p", colour=(2, 1, 1, 1), frames=15)


def two_audios(path: Path) -> Path:
    """Two AAC tracks in two languages, chapters and tags."""
    tags = {"title": "A video", "comment": "first cut"}
    return video(path, audio=2, metadata=tags, chapters=True)


def subtitled(path: Path) -> Path:
    """Two captions with a gap between them: mov_text in mp4, subrip in Matroska."""
    return video(path, audio=1, subtitle="mov_text" if path.suffix == ".mp4" else "srt", frames=60)


def one_frame(path: Path) -> Path:
    """A video of a single picture: no step to learn a rate from."""
    return video(path, frames=1)


def gray(path: Path) -> Path:
    """Luma only (FFV1 in Matroska)."""
    return video(path, codec="ffv1", pix_fmt="gray", frames=12)


def interlaced(path: Path) -> Path:
    """Coded as fields, top field first."""
    return video(path, interlaced=True, frames=12, filters=["setfield=tff"])


def open_gop(path: Path, codec: str = "libx264") -> Path:
    """Pictures before a keyframe in time, after it in the file, and made from both sides."""
    options = {"g": "8", "bf": "3", "preset": "medium"}
    params = "open-gop=1:keyint=8:min-keyint=8:scenecut=0:bframes=3:b-adapt=0"
    if codec == "libx265":
        options["x265-params"] = f"{params}:log-level=none:pools=1"
    else:
        options["x264-params"] = f"{params}:asm=0"
    return video(path, codec=codec, options=options, frames=40)


def b_pyramid(path: Path) -> Path:
    """Three levels of B-frames: pictures are reordered far."""
    params = "keyint=12:min-keyint=12:scenecut=0:bframes=5:b-adapt=0:b-pyramid=normal"
    return video(
        path, options={"bf": "5", "preset": "medium", "x264-params": f"{params}:asm=0"}, frames=48
    )


def transport_stream(path: Path) -> Path:
    """MPEG-2 in a transport stream: no index, 90 kHz, times that do not begin at zero."""
    return video(
        path,
        pts=[35 + n for n in range(40)],
        time_base=Fraction(1, 25),
        codec="mpeg2video",
        options={"g": "9", "bf": "2", "b": "800000"},
        audio=1,
        audio_start=11200,
        container_options={"mpegts_copyts": "1"},
    )


def motion_jpeg(path: Path) -> Path:
    """Motion JPEG in AVI: every frame a key, no pts in the file."""
    base = Fraction(1, 25)
    pts = list(range(15))
    return video(path, codec="mjpeg", pix_fmt="yuvj420p", pts=pts, time_base=base)


def vp9(path: Path) -> Path:
    """VP9 in WebM: hidden reference pictures, times in milliseconds."""
    options = {"cpu-used": "8", "deadline": "realtime", "g": "10"}
    return video(
        path,
        codec="libvpx-vp9",
        options=options,
        pts=[40 * n for n in range(20)],
        time_base=Fraction(1, 1000),
    )


def see_through(path: Path) -> Path:
    """VP9 in WebM with alpha: a second picture in each packet, which FFmpeg's decoder leaves."""
    options = {"cpu-used": "8", "deadline": "realtime", "g": "20", "crf": "10", "b": "0"}
    return video(
        path,
        codec="libvpx-vp9",
        pix_fmt="yuva420p",
        options=options | {"auto-alt-ref": "0"},
        pts=[40 * n for n in range(45)],
        time_base=Fraction(1, 1000),
        pictures=shape,
    )


def lossless_rgb(path: Path) -> Path:
    """FFV1 in Matroska with packed RGB (bgr0)."""
    return video(path, codec="ffv1", pix_fmt="bgr0", frames=8)


def truncated(path: Path, source: Path, share: float = 0.6) -> Path:
    """The first part of another file: an interrupted download or a full disk."""
    data = source.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def streamable(path: Path) -> Path:
    """Plain video with its index in front, so that a truncated copy still opens."""
    return video(path, frames=60, audio=1, container_options={"movflags": "faststart"})


def damaged(path: Path, source: Path) -> Path:
    """Another file with 200 bytes in its middle overwritten."""
    data = bytearray(source.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 200] = np.random.default_rng(3).bytes(200)
    path.write_bytes(data)
    return path


def text(path: Path) -> Path:
    """No video at all, whatever its name says."""
    path.write_text("This is a letter, not a video.\n" * 20)
    return path


def playlist(path: Path) -> Path:
    """An HLS playlist that points at the network."""
    path.write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n"
    )
    return path


def sound_only(path: Path) -> Path:
    """AAC in mp4 without any picture."""
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=8000, layout="mono")
        for packet in _audio_packets([sound], 0, [0, 12800], TICKS):
            container.mux(packet)
    return path


def _audio_packets(
    sounds: Sequence[av.AudioStream], start: int, times: Sequence[int], time_base: Fraction
) -> Iterable[av.Packet[av.AudioStream]]:
    seconds = float((times[-1] - min(times[0], 0)) * time_base) + 0.2
    for number, sound in enumerate(sounds):
        rate = sound.rate
        count = max(int(seconds * rate) - max(start, 0), 2048)
        wave = np.sin(np.arange(count) * (0.2 + 0.1 * number)).astype(np.float32)[None] * 0.3
        frame = av.AudioFrame.from_ndarray(wave, "fltp", "mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        yield from sound.encode(frame)
        yield from sound.encode(None)


def _mux_subtitles(container: av.container.OutputContainer, stream: Stream, codec: str) -> None:
    for start, lasting, words in ((200, 500, b"Hello"), (1200, 600, b"Good bye")):
        data = len(words).to_bytes(2, "big") + words if codec == "mov_text" else words
        packet: av.Packet[Stream] = av.Packet(data)
        packet.stream = stream
        packet.time_base = Fraction(1, 1000)
        packet.pts = packet.dts = start
        packet.duration = lasting
        packet.is_keyframe = True
        container.mux(packet)


def _png() -> bytes:
    context = av.CodecContext.create("png", "w")
    context.width, context.height, context.pix_fmt = WIDTH, HEIGHT, "rgb24"
    context.time_base = Fraction(1, 25)
    frame = av.VideoFrame.from_ndarray(picture(0), "rgb24")
    return b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])
