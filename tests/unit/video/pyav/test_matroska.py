"""Descriptions of tracks: set in their place, and nothing else in the file changes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import av
import pytest

from facepipe.video.pyav import matroska
from facepipe.video.pyav.matroska import (
    ROOM,
    Description,
    describe_tracks,
    language_tag,
    track_descriptions,
)
from media import synthetic
from media.matroska import language_tag as told_tag
from media.matroska import tracks_of, with_told
from media.video_checks import packets


def with_room(path: Path, title: str = "") -> Path:
    """A video whose tracks have room, with that title."""
    source = synthetic.video(path.with_name("source.mp4"), frames=4, audio=1)
    with av.open(str(source)) as given, av.open(str(path), "w") as out:
        pairs = {s.index: out.add_stream_from_template(s, opaque=True) for s in given.streams}
        for stream in pairs.values():
            stream.metadata["title"] = title + ROOM
        for packet in given.demux():
            if packet.size:
                packet.stream = pairs[packet.stream.index]
                out.mux_one(packet)
    return path


def tagged(track: Description) -> None:
    track[matroska.LANGUAGE_TAG] = b"pt-BR"


@pytest.mark.parametrize("title", ["", "A title"])
@pytest.mark.parametrize("suffix", [".mkv", ".webm"])
def test_a_change_takes_the_room(title: str, suffix: str, tmp_path: Path) -> None:
    path = with_room(tmp_path / "a.mkv", title).rename(tmp_path / f"a{suffix}")
    before, size, contents = packets(path), path.stat().st_size, path.read_bytes()
    describe_tracks(path, [tagged, tagged])
    assert path.stat().st_size == size
    assert packets(path) == before
    assert [track.get("language tag") for track in tracks_of(path)] == [b"pt-BR", b"pt-BR"]
    with av.open(str(path)) as container:
        assert [s.metadata.get("title", "") for s in container.streams] == [title, title]
    tracks = contents.index(b"\x16\x54\xae\x6b")
    first = contents.index(b"\x1f\x43\xb6\x75")
    assert path.read_bytes()[:tracks] == contents[:tracks]
    assert path.read_bytes()[first:] == contents[first:]


def test_a_track_without_a_change_keeps_its_bytes(tmp_path: Path) -> None:
    path = with_room(tmp_path / "a.mkv", "A title")
    describe_tracks(path, [None, tagged])
    with av.open(str(path)) as container:
        titles = [stream.metadata["title"] for stream in container.streams]
    assert titles == [f"A title{ROOM}", "A title"]
    assert [track.get("language tag") for track in tracks_of(path)] == [None, b"pt-BR"]


def test_what_has_no_room_is_refused_and_stays(tmp_path: Path) -> None:
    path = synthetic.video(tmp_path / "a.mkv", frames=4)
    contents = path.read_bytes()

    def titled(track: Description) -> None:
        track[matroska.NAME] = bytes(500)

    with pytest.raises(ValueError, match="do not fit"):
        describe_tracks(path, [titled])
    assert path.read_bytes() == contents
    path.write_bytes(b"no Matroska")
    with pytest.raises(ValueError, match="describes no tracks"):
        describe_tracks(path, [tagged])


def test_tags_are_read(tmp_path: Path) -> None:
    path = with_told(tmp_path / "a.mkv", synthetic.plain, told_tag("zh-Hans"))
    with path.open("rb") as file:
        (track,) = track_descriptions(file)
    assert language_tag(track) == "zh-Hans"
    assert language_tag(Description(b"")) is None
    assert track_descriptions(synthetic.plain(tmp_path / "b.mp4").open("rb")) == []


def test_mkvmerge_reads_the_languages_and_finds_no_fault(tmp_path: Path) -> None:
    program = shutil.which("mkvmerge")
    if program is None:
        pytest.skip("the program mkvmerge is not here")
    path = with_room(tmp_path / "a.mkv")
    describe_tracks(path, [tagged, tagged])
    told = subprocess.run([program, "-J", path], check=True, capture_output=True, text=True).stdout
    assert told.count('"language_ietf": "pt-BR"') == 2
    assert '"warnings": []' in told
