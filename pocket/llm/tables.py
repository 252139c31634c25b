"""Tables in strings."""


def items(text: str) -> tuple[str, ...]:
    """Split at `|`."""
    return tuple(text.split("|"))


def names(text: str) -> tuple[str, ...]:
    """Split at white space."""
    return tuple(text.split())
