"""How deep a JSON document is nested: whoever writes or reads one recurses, and must know where that ends."""

METADATA_MAX_DEPTH = 32


def is_within(value: object, levels: int) -> bool:
    """Whether objects and lists are nested no deeper than so many levels; looks no deeper itself."""
    if not isinstance(value, dict | list | tuple):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(is_within(one, levels - 1) for one in inner)
