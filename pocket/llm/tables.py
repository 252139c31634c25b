"""Tables written as text: how their entries are told apart."""


def items(text: str) -> tuple[str, ...]:
    """Entries that `|` parts."""
    return tuple(text.split("|"))


def names(text: str) -> tuple[str, ...]:
    """Entries that white space parts."""
    return tuple(text.split())
