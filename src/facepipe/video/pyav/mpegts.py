"""Programs of a transport stream: their numbers and names, which FFmpeg does not hand on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HEAD = 4 * 2**20  # bytes that are searched: tables come several times a second
_PACKET, _SIZES, _SYNC = 188, (188, 192, 204), 0x47
_PAT_PID, _SDT_PID = 0x00, 0x11
_PAT, _PMT, _SDT_ACTUAL, _SERVICE = 0x00, 0x02, 0x42, 0x48
_UTF8, _BY_NUMBER = 0x15, 0x10
_UNNAMED = ("Service01", "FFmpeg")  # what FFmpeg writes where it knows no name


@dataclass(frozen=True)
class Program:
    """One program: its number, the PID of its table, and its names ("" where it has none)."""

    number: int
    table_pid: int
    name: str = ""
    provider: str = ""


@dataclass(frozen=True)
class Transport:
    """A transport stream's own id and network, and its programs."""

    number: int
    network: int
    programs: tuple[Program, ...]

    @property
    def options(self) -> dict[str, str]:
        """The muxer's options that give the first program the same numbers."""
        if not self.programs:
            return {}
        asked = {
            "mpegts_transport_stream_id": self.number,
            "mpegts_original_network_id": self.network,
            "mpegts_service_id": self.programs[0].number,
            "mpegts_pmt_start_pid": self.programs[0].table_pid,
        }
        lowest = {"mpegts_pmt_start_pid": 0x20}
        return {k: str(v) for k, v in asked.items() if v >= lowest.get(k, 1)}

    @property
    def names(self) -> dict[str, str]:
        """The metadata that name the first program."""
        first = self.programs[0] if self.programs else Program(0, 0)
        named = {"service_name": first.name, "service_provider": first.provider}
        return {k: v for k, v in named.items() if v and v not in _UNNAMED}


def transport_of(path: Path) -> Transport | None:
    """The programs of a file; None where it is no transport stream or lists none."""
    with path.open("rb") as file:
        data = file.read(HEAD)
    numbers: dict[int, int] = {}
    names: dict[int, tuple[str, str]] = {}
    stream = network = 0
    for section in _sections(data, _PAT_PID):
        if section[0] == _PAT:
            stream = int.from_bytes(section[3:5], "big")
            for at in range(8, len(section) - 7, 4):
                number = int.from_bytes(section[at : at + 2], "big")
                if number:  # 0 is no program, but the network's table
                    pid = int.from_bytes(section[at + 2 : at + 4], "big") & 0x1FFF
                    numbers.setdefault(number, pid)
    for section in _sections(data, _SDT_PID):
        if section[0] == _SDT_ACTUAL:
            network = int.from_bytes(section[8:10], "big")
            names |= dict(_services(section))
    if not numbers:
        return None
    programs = [Program(n, pid, *names.get(n, ("", ""))) for n, pid in numbers.items()]
    return Transport(stream, network, tuple(programs))


def is_transport(head: bytes) -> bool:
    """Whether a file that begins so is a transport stream."""
    return next(transport_packets(head), None) is not None


def changes_codec(data: bytes) -> bool:
    """Whether a table says of a stream another codec than a table before it, by a file's begin.

    FFmpeg takes what the last table says for all of the stream, if it is asked to read them all.
    """
    tables = {
        int.from_bytes(section[at + 2 : at + 4], "big") & 0x1FFF
        for section in _sections(data, _PAT_PID)
        if section[0] == _PAT
        for at in range(8, len(section) - 7, 4)
        if section[at : at + 2] != b"\0\0"
    }
    kinds: dict[int, int] = {}
    streams = (one for pid in sorted(tables) for one in _listed_streams(data, pid))
    return any(kinds.setdefault(pid, kind) != kind for pid, kind in streams)


def _listed_streams(data: bytes, table_pid: int) -> Iterator[tuple[int, int]]:
    """PID and kind of each stream that the tables of a program list."""
    for section in _sections(data, table_pid):
        if section[0] != _PMT:
            continue
        at = 12 + (int.from_bytes(section[10:12], "big") & 0x0FFF)
        while at + 5 <= len(section) - 4:
            yield int.from_bytes(section[at + 1 : at + 3], "big") & 0x1FFF, section[at]
            at += 5 + (int.from_bytes(section[at + 3 : at + 5], "big") & 0x0FFF)


def _sections(data: bytes, pid: int) -> Iterator[bytes]:
    """Whole sections of tables on a pid, without their checksums being looked at."""
    pending = b""
    for packet in transport_packets(data):
        if int.from_bytes(packet[1:3], "big") & 0x1FFF != pid or not packet[3] & 0x10:
            continue
        at = 5 + packet[4] if packet[3] & 0x20 else 4
        payload = packet[at:]
        if packet[1] & 0x40 and payload:  # a section begins here
            pending = payload[1 + payload[0] :]
        elif pending:
            pending += payload
        while length := _section_length(pending):
            if length > 12:
                yield pending[:length]
            pending = pending[length:]


def _section_length(data: bytes) -> int:
    """Bytes of the section that `data` begins with; 0 where none is whole."""
    if len(data) < 3 or data[0] == 0xFF:
        return 0
    length = 3 + (int.from_bytes(data[1:3], "big") & 0x0FFF)
    return length if len(data) >= length else 0


def transport_packets(data: bytes) -> Iterator[bytes]:
    """The packets of 188 bytes in the beginning of a transport stream; none in anything else."""
    for size in _SIZES:
        lead = size - _PACKET if size == 192 else 0  # Blu-ray puts a time before each packet
        starts = range(lead, len(data) - _PACKET + 1, size)
        if len(starts) > 4 and all(data[at] == _SYNC for at in starts[:5]):
            yield from (data[at : at + _PACKET] for at in starts if data[at] == _SYNC)
            return


def _services(section: bytes) -> Iterator[tuple[int, tuple[str, str]]]:
    at = 11
    while at + 5 <= len(section) - 4:
        number = int.from_bytes(section[at : at + 2], "big")
        end = at + 5 + (int.from_bytes(section[at + 3 : at + 5], "big") & 0x0FFF)
        at += 5
        while at + 2 <= min(end, len(section)):
            tag, length = section[at], section[at + 1]
            body = section[at + 2 : at + 2 + length]
            if tag == _SERVICE and len(body) >= 3:
                middle = 2 + body[1]
                provider, name = body[2:middle], body[middle + 1 :]
                yield number, (_text(name), _text(provider))
            at += 2 + length
        at = end


def _text(data: bytes) -> str:
    """A string of DVB, whose first byte may say how it is written (EN 300 468, annex A)."""
    charset = "latin-1"
    if data[:1] == bytes([_UTF8]):
        charset, data = "utf-8", data[1:]
    elif data[:1] == bytes([_BY_NUMBER]) and len(data) >= 3:
        charset, data = f"iso8859-{data[2]}", data[3:]
    elif data and data[0] < 0x0C:
        charset, data = f"iso8859-{data[0] + 4}", data[1:]
    try:
        text = data.decode(charset, errors="replace")
    except LookupError:
        text = data.decode("latin-1")
    return "".join(sign for sign in text if sign.isprintable()).strip()
