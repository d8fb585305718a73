"""The networks as PyTorch modules, each from the same small set of parts."""
