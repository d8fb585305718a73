"""Say what GStreamer sees of a video: `python3 gstreamer_player.py FILE`, times on standard input.

Run by the system's own Python, for which distributions package GStreamer's bindings.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
gi.require_version("GstPbutils", "1.0")
from gi.repository import Gst, GstApp, GstPbutils  # noqa: E402, F401

_PATIENCE = 20 * Gst.SECOND
_SINK = "videoconvert ! video/x-raw,format=GRAY8 ! appsink name=sink sync=false max-buffers=1"


def facts(uri: str) -> dict[str, Any]:
    """Duration, tags and streams."""
    info = GstPbutils.Discoverer.new(_PATIENCE).discover_uri(uri)
    streams = []
    for stream in info.get_stream_list():
        caps = stream.get_caps()
        told: dict[str, Any] = {
            "kind": stream.get_stream_type_nick(),
            "caps": caps.get_structure(0).get_name() if caps else None,
        }
        if isinstance(stream, GstPbutils.DiscovererVideoInfo):
            told["rate"] = f"{stream.get_framerate_num()}/{stream.get_framerate_denom()}"
            told["size"] = f"{stream.get_width()}x{stream.get_height()}"
            told["aspect"] = f"{stream.get_par_num()}:{stream.get_par_denom()}"
            told["interlaced"] = stream.is_interlaced()
        if isinstance(stream, GstPbutils.DiscovererAudioInfo):
            told |= {"samples": stream.get_sample_rate(), "channels": stream.get_channels()}
        told["tags"] = tags_of(stream.get_tags())
        streams.append(told)
    duration = info.get_duration() / Gst.SECOND
    return {"duration": duration, "streams": streams, "tags": tags_of(info.get_tags())}


def tags_of(given: Any) -> dict[str, str]:
    """The tags of a list, as texts."""
    if given is None:
        return {}
    names = [given.nth_tag_name(number) for number in range(given.n_tags())]
    return {name: str(told(given.get_value_index(name, 0))) for name in names}


def told(value: Any) -> Any:
    """A tag's value as a text."""
    if isinstance(value, Gst.DateTime):
        return value.to_iso8601_string()
    return "(an image)" if isinstance(value, Gst.Sample) else value


def frames(uri: str, times: list[float]) -> list[Any]:
    """Width, height and brightness of the frame at each time, by accurate seeks."""
    pipeline = Gst.parse_launch(f'uridecodebin uri="{uri}" name=source source. ! {_SINK}')
    sink = pipeline.get_by_name("sink")
    pipeline.set_state(Gst.State.PAUSED)
    wait(pipeline)
    flags = Gst.SeekFlags.FLUSH | Gst.SeekFlags.ACCURATE
    found = []
    for when in times:
        place = int(when * Gst.SECOND)
        pipeline.seek(1.0, Gst.Format.TIME, flags, Gst.SeekType.SET, place, Gst.SeekType.NONE, 0)
        wait(pipeline)
        sample = sink.emit("try-pull-preroll", _PATIENCE)
        found.append(None if sample is None else picture(sample))
    pipeline.set_state(Gst.State.NULL)
    return found


def wait(pipeline: Any) -> None:
    """Wait until the pipeline shows a frame, or is at its end."""
    state, _, _ = pipeline.get_state(_PATIENCE)
    if state == Gst.StateChangeReturn.FAILURE:
        error = pipeline.get_bus().pop_filtered(Gst.MessageType.ERROR)
        raise SystemExit(error.parse_error()[0].message if error else "it does not play")


def picture(sample: Any) -> list[Any]:
    """A sample's frame without the padding of its rows."""
    form = sample.get_caps().get_structure(0)
    width, height = form["width"], form["height"]
    _, memory = sample.get_buffer().map(Gst.MapFlags.READ)
    content, row = bytes(memory.data), (width + 3) // 4 * 4
    sample.get_buffer().unmap(memory)
    rows = b"".join(content[y * row : y * row + width] for y in range(height))
    return [width, height, rows.hex()]


def main() -> None:
    """Print what GStreamer sees of the video that the first argument names."""
    Gst.init(None)
    if len(sys.argv) == 1:
        sys.stdout.write(Gst.version_string() + "\n")
        return
    uri = Gst.filename_to_uri(sys.argv[1])
    seen = {"facts": facts(uri), "frames": frames(uri, json.load(sys.stdin))}
    sys.stdout.write(json.dumps(seen) + "\n")


if __name__ == "__main__":
    main()
