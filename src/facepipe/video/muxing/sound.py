"""Decode audio to PCM for a container that does not take its codec: every sample stays as heard.

FFmpeg's muxer writes some old codecs (WMA, ADPCM, G.711 of recorders) to Matroska only where it is
told to leave the standard, which PyAV cannot tell it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from fractions import Fraction

import av
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream

from facepipe.video.containers import Container
from facepipe.video.streams import codec_name, has_decoder

#: Codecs of PCM by the sample format that a decoder gives; of others 16 bits hold all.
_CODECS = {"s32": "pcm_s32le", "s32p": "pcm_s32le"}
_USUAL = "pcm_s16le"
_FORMATS = {_USUAL: "s16", "pcm_s32le": "s32"}
_LAYOUTS = {1: "mono", 2: "stereo"}


def decoded_to(stream: Stream, container: Container) -> str | None:
    """The codec of PCM to which audio is decoded for a container; None: it is not."""
    if not isinstance(stream, av.AudioStream) or not has_decoder(stream) or not container.pcm:
        return None
    context = stream.codec_context
    if container.takes(codec_name(stream)) or not context.sample_rate:
        return None
    return _CODECS.get(context.format.name if context.format else "", _USUAL)


def is_decoded(codec: str, made: str) -> bool:
    """Whether audio that was of `codec` and is now of `made` was decoded here."""
    return made in _FORMATS and codec not in _FORMATS


class SoundDecoder:
    """Decodes one stream of audio, packet by packet."""

    def __init__(self, out: OutputContainer, source: Stream, codec: str) -> None:
        """Add the stream to a container that is not started yet."""
        assert isinstance(source, av.AudioStream)
        context = source.codec_context
        layout = _LAYOUTS.get(context.layout.nb_channels, context.layout.name)
        self._reader = context
        self._rate = context.sample_rate
        self._resampler = av.AudioResampler(_FORMATS[codec], layout, self._rate)
        self._base = Fraction(source.time_base or Fraction(1, self._rate))
        self._end: int | None = None  # of what was given, in ticks of the source
        self.stream = out.add_stream(codec, rate=self._rate, layout=layout)

    def packets(self, packet: Packet[Stream]) -> Iterator[Packet[Stream]]:
        """What a packet of the source becomes."""
        with suppress(av.FFmpegError):  # damaged: there is nothing to hear
            yield from self._made(self._reader.decode(packet), packet.pts)

    def rest(self) -> Iterator[Packet[Stream]]:
        """What the decoder holds back until the source ends."""
        with suppress(av.FFmpegError):
            yield from self._made(self._reader.decode(None), None)

    def _made(self, frames: Sequence[av.AudioFrame], pts: int | None) -> Iterator[Packet[Stream]]:
        if not frames:
            return
        samples = sum(frame.samples for frame in frames)
        begin = frames[0].pts if frames[0].pts is not None else self._end
        begin = pts if begin is None else begin
        data = b"".join(self._samples(frame) for frame in frames)
        made: Packet[Stream] = Packet(data)
        made.stream = self.stream
        made.time_base = self._base
        made.pts = made.dts = begin
        made.duration = max(round(Fraction(samples, self._rate) / self._base), 1)
        made.is_keyframe = True
        self._end = None if begin is None else begin + made.duration
        yield made

    def _samples(self, frame: av.AudioFrame) -> bytes:
        frame.pts = None  # all samples come out at once, whatever their times
        made = self._resampler.resample(frame)
        return b"".join(one.to_ndarray().tobytes() for one in made)
