"""The whole of facepipe against films whose truth is known."""
