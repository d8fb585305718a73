"""Networks, their weights, and what runs them. Nothing here reports to anyone."""

import os

# Builds of onnxruntime from 1.32 on would send telemetry home; it is read when they are imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
