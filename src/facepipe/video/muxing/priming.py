"""Encoder delay of audio streams (priming samples), written to Matroska's header.

mp4 keeps the samples by which an encoder warms up at times below zero, where players skip them.
Matroska keeps them too, where its header says how many there are (CodecDelay). FFmpeg's muxer
writes that for streams that come from Matroska, so the stream is given a header of Matroska first.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from contextlib import suppress
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
from av.container import InputContainer

from facepipe.datatypes import Clock
from facepipe.video.clock import timed
from facepipe.video.containers import MATROSKA, Container
from facepipe.video.pyav.ebml import CLUSTER, SEGMENT, TRACKS, elements, wide_element
from facepipe.video.sources import open_source
from facepipe.video.streams import codec_name, has_decoder

_PACKETS = 1000  # among which the first one of each stream is looked for
_ENTRY, _TIME, _BLOCK = b"\xae", b"\xe7", b"\xa3"
_DELAY = b"\x56\xaa"
_UNKNOWN_SIZE = b"\x01" + b"\xff" * 7
_SELF_DESCRIBING = ("opus",)  # codecs whose own headers say their delay


def encoder_delays(
    source: Path, opened: InputContainer, container: Container, clock: Clock, earlier: Fraction
) -> dict[int, Fraction]:
    """Seconds before zero at which audio streams begin, by index; those to be written there.

    `earlier` are seconds by which all times of the target are earlier than those of the source by
    `clock`.
    """
    if not container.codec_delay or MATROSKA.matches(opened.format.name):
        return {}
    audio = [
        stream.index
        for stream in opened.streams.audio
        if has_decoder(stream) and codec_name(stream) not in _SELF_DESCRIBING
    ]
    begins = _begins(source, audio, clock) if audio else {}
    return {index: earlier - begin for index, begin in begins.items() if begin < earlier}


def _begins(source: Path, indices: Sequence[int], clock: Clock) -> dict[int, Fraction]:
    """The time of the first packet that has one, of each stream of these indices, in seconds."""
    found: dict[int, Fraction] = {}
    # probe has reported what cannot be read
    with open_source(source) as fresh, suppress(av.FFmpegError):
        streams = [fresh.streams[index] for index in indices]
        for packet in islice(timed(fresh, clock, *streams), _PACKETS):
            if packet.size and packet.pts is not None:
                found.setdefault(packet.stream.index, packet.pts * Fraction(packet.time_base))
            if len(found) == len(indices):
                break
    return found


def with_encoder_delay(stream: av.AudioStream, seconds: Fraction) -> InputContainer:
    """A container whose one stream is `stream` with its encoder delay in the header."""
    context = stream.codec_context
    file = io.BytesIO()
    with av.open(file, "w", format=MATROSKA.muxer) as out:
        out.add_stream_from_template(stream, opaque=True)
        out.start_encoding()
    made = file.getvalue()
    (segment,) = (one for one in elements(made, 0, len(made)) if one.name == SEGMENT)
    inner = {one.name: one for one in elements(made, segment.content, segment.end)}
    tracks = inner[TRACKS]
    entry = next(o for o in elements(made, tracks.content, tracks.end) if o.name == _ENTRY)
    kept = b"".join(
        wide_element(one.name, made[one.content : one.end])
        for one in elements(made, entry.content, entry.end)
        if one.name != _DELAY
    )
    samples = math.ceil(seconds * context.sample_rate)
    delay = round(Fraction(samples, context.sample_rate) * 10**9)
    entry_content = kept + wide_element(_DELAY, delay.to_bytes(8, "big"))
    cluster = wide_element(_TIME, b"\0") + wide_element(_BLOCK, b"\x81\0\0\x80\0")
    whole = made[: segment.begin] + SEGMENT + _UNKNOWN_SIZE
    described = wide_element(TRACKS, wide_element(_ENTRY, entry_content))
    whole += described + wide_element(CLUSTER, cluster)
    return av.open(io.BytesIO(whole), "r", format=MATROSKA.muxer)
