"""On whose behalf snapshots are held: anybody's, by a name of his own, or a recovery point's."""

_POINT = "recovery:"


def holder_of(checkpoint_id: str) -> str:
    """On whose behalf a point holds its snapshots."""
    return f"{_POINT}{checkpoint_id}"


def point_of(holder: str) -> str | None:
    """The point that holds under this name; None when it is no point."""
    return holder.removeprefix(_POINT) if holder.startswith(_POINT) else None
