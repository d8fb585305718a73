"""FishSRNet guided by ParsingNet: the contract of facepipe's own networks."""

from __future__ import annotations

from facepipe.models.contract import Contract

#: Faces that go through the network at once; bounds memory at about 10 MB a face.
BATCH = 16
#: Its input is the canvas and what the neighbouring frames add; with each face it gives its parse.
CONTRACT = Contract(
    batch=BATCH,
    neighbours=True,
    mask="own",
    half=True,
    licence="for research and evaluation (see the model card)",
)
