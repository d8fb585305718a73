"""Costs of the steps of facepipe, measured by `measure.py` and used by `simulate.py`."""

from __future__ import annotations

from dataclasses import dataclass

MB = 1e6


@dataclass(frozen=True)
class Times:
    """Costs of the steps, in seconds of one core and in bytes.

    A `video_frame` in a name: for each frame of the whole video, whatever the span.
    """

    # a worker
    analyze_frame_s: float
    analyze_face_s: float
    render_frame_s: float
    render_face_s: float
    part_frame_bytes: float
    detections_face_bytes: float  # of a pickled SpanFaces
    # a driver's Python
    probe_frame_s: float
    link_face_s: float  # with writing and reading analysis.json, and cutting tracks to spans
    mux_frame_s: float  # with reading the result back, and the report
    keep_task_s: float
    dispatch_task_s: float
    send_mb_s: float
    receive_mb_s: float
    poll_s: float  # one poll of a video's thread for its running tasks
    poll_interval_s: float
    # in other processes and threads
    sha_mb_s: float
    serve_mb_s: float
    # bytes
    faces_frame: float  # enhanced, in the clip with most faces
    source_frame_bytes: float
    task_video_frame_bytes: float  # of a pickled task: it holds all pts of its video
    driver_read_videos: float  # what a driver reads for a video, in sizes of the video
    driver_written_videos: float
    index_video_frame_bytes: float  # what a worker reads to open the video, from a shared disk
    served_video_frame_bytes: float  # the same through the file server
    served_span_bytes: float  # what a worker reads for one span through the file server


#: Measured on 2026-11-23, on two cores of a Xeon with AMX (OpenVINO in bfloat16).
MEASURED = Times(
    analyze_frame_s=0.0138,
    analyze_face_s=0.0125,
    render_frame_s=0.0104,
    render_face_s=0.0183,
    part_frame_bytes=3820,
    detections_face_bytes=649,
    probe_frame_s=8.09e-6,
    link_face_s=0.000351,
    mux_frame_s=0.000159,
    keep_task_s=0.000421,
    dispatch_task_s=0.00211,
    send_mb_s=0.00441,
    receive_mb_s=0.00169,
    poll_s=0.0006,
    poll_interval_s=0.1,
    sha_mb_s=0.000727,
    serve_mb_s=0.00243,
    faces_frame=0.754,
    source_frame_bytes=2230,
    task_video_frame_bytes=5.33,
    driver_read_videos=8.28,
    driver_written_videos=2.52,
    index_video_frame_bytes=32.6,
    served_video_frame_bytes=32.6,
    served_span_bytes=3.0e6,
)
