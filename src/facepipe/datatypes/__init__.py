"""The data types that modules pass to each other: numpy and the standard library only.

Conventions: boxes are xyxy in pixels of the coded frame (rotation is metadata and is not applied),
pixel centres are at integers, so a frame spans -0.5 .. width - 0.5. Landmarks are five points:
image-left eye, image-right eye, nose, image-left and image-right mouth corner. Time is pts in the
video stream's time base. Canvases are aligned faces, of CANVAS x CANVAS px unless an `Alignment`
says otherwise.
"""

from __future__ import annotations

from facepipe.datatypes.alignment import (
    CANVAS,
    CANVAS_FACE,
    OWN_ALIGNMENT,
    TEMPLATES,
    Alignment,
    Points,
)
from facepipe.datatypes.arrays import (
    ArrayRecord,
    Float32,
    Float64,
    Plane,
    Selection,
)
from facepipe.datatypes.faces import (
    NEIGHBOUR_CHANNELS,
    SEQUENCE_LENGTH,
    Crops,
    FaceMeasurements,
    Faces,
    FrameDetections,
    Motion,
    Restored,
    SpanFaces,
)
from facepipe.datatypes.tracks import (
    Analysis,
    Track,
)
from facepipe.datatypes.video import (
    Clock,
    ClockJoint,
    Colour,
    ColourModel,
    Damage,
    Form,
    Frame,
    HeaderChange,
    Matrix,
    Part,
    PixelFormat,
    Span,
    StreamInfo,
    VideoInfo,
)

__all__ = [
    "Alignment",
    "Analysis",
    "ArrayRecord",
    "CANVAS",
    "CANVAS_FACE",
    "Clock",
    "ClockJoint",
    "Colour",
    "ColourModel",
    "Crops",
    "Damage",
    "FaceMeasurements",
    "Faces",
    "Float32",
    "Float64",
    "Form",
    "Frame",
    "HeaderChange",
    "FrameDetections",
    "Matrix",
    "Motion",
    "NEIGHBOUR_CHANNELS",
    "OWN_ALIGNMENT",
    "Part",
    "PixelFormat",
    "Plane",
    "Points",
    "Restored",
    "SEQUENCE_LENGTH",
    "Selection",
    "Span",
    "SpanFaces",
    "StreamInfo",
    "TEMPLATES",
    "Track",
    "VideoInfo",
]
