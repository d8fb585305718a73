"""Order of Matroska's blocks: by the times that they are written with.

FFmpeg's muxer adds the encoder delay of sound (CodecDelay) to the times of its blocks, after the
packets were sorted by their decoding times. So blocks would go back by it within a cluster, which
packagers and browsers refuse. Decoding times are not written: they are moved instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import av
from av.packet import Packet
from av.stream import Stream

from facepipe.video.containers import Container
from facepipe.video.frame_packets import HIDING
from facepipe.video.muxing.copy import rescale
from facepipe.video.muxing.target_streams import TargetStreams
from facepipe.video.streams import codec_name


def block_lags(streams: TargetStreams, container: Container, lead: Fraction) -> Mapping[int, int]:
    """Ticks by which packets of each stream, by index, are to be sorted earlier; none: as they are.

    `lead` are seconds by which the first picture is decoded before it is shown: so much earlier the
    video is sorted anyway. The target must be started, so that its time bases are known.
    """
    if not container.codec_delay:
        return {}
    copies = [copy for copy, source in streams.copies.values() if _is_sorted(source)]
    made = [streams.video, *copies]
    delays = {stream.index: _delay(stream) for stream in made}
    longest = max(delays.values())
    lags = {index: longest - delay for index, delay in delays.items()}
    lags[streams.video.index] -= round(lead / (streams.video.time_base or 1))
    return {index: lag for index, lag in lags.items() if lag > 0}


def _is_sorted(source: Stream) -> bool:
    """Whether all packets have decoding times, which are those at which they are shown."""
    return source.type != "video" or codec_name(source) in HIDING


def _delay(stream: Stream) -> int:
    """The ticks that the muxer adds to the times of a stream."""
    if not isinstance(stream, av.AudioStream) or not stream.time_base:
        return 0
    context = stream.codec_context
    if not context.delay or not context.sample_rate:
        return 0
    return round(Fraction(context.delay, context.sample_rate) / stream.time_base)


def sort_by_block_time(packet: Packet[Stream], lags: Mapping[int, int]) -> None:
    """Give a packet the decoding time by which the muxer sorts it into its place."""
    base = packet.stream.time_base
    lag = lags.get(packet.stream.index, 0)
    if packet.dts is None or not base or not lag:
        return
    rescale(packet, base)
    packet.dts -= lag
