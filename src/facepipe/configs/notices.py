"""What enhanced faces are worth as evidence: said wherever a result is seen."""

from __future__ import annotations

#: In reports.
NOTICE = (
    "Enhanced faces are plausible inventions of a neural network. They are no evidence of what a "
    "person looked like and must not be used to identify anyone. Keep the original."
)
#: On the command line.
SHORT_NOTICE = "Enhanced faces are plausible inventions, no evidence."
#: What the container itself says, where a player or a machine may read it.
CONTAINER_TAG = "AI-enhanced faces (facepipe): plausible inventions, no evidence"
