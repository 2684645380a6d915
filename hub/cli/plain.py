"""What others say, for a terminal: their control characters would be obeyed there."""


def plain(text: str) -> str:
    """It in one line, with nothing in it that isn't seen."""
    return "".join(char if char.isprintable() else " " if char.isspace() else "\ufffd" for char in text)
