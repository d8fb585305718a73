"""Pure steps on nouns; `analyze` and `render` chain them for one span."""
