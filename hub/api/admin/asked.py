"""What an operator's query asks, read strictly: what isn't known is refused."""

from collections.abc import Collection

from hub.api.exchange import Exchange
from hub.errors import Refused
from subscriptions.codes import IssueCode


class Query:
    """
    The parameters of a query, each given once at most.

    Raises:
        Refused: 400, for another parameter than these, and for one that is repeated.
    """

    def __init__(self, exchange: Exchange, *names: str) -> None:
        self.given: dict[str, str] = {}
        for name, value in exchange.query:
            if name not in names:
                text = f"`{name[:80]}` is not a parameter here: those are {', '.join(names)}."
                raise Refused.because(400, IssueCode.NOT_SUPPORTED, text, name[:80])
            if name in self.given:
                raise Refused.because(400, IssueCode.INVALID, f"`{name}` is given more than once.", name)
            self.given[name] = value

    def text(self, name: str) -> str:
        """Empty when it isn't given."""
        return self.given.get(name, "")

    def number(self, name: str, default: int, *, most: int, least: int = 1) -> int:
        """A whole number, `most` at most; Refused with 400 for anything else."""
        text = self.given.get(name)
        if text is None:
            return default
        if not (text.isascii() and text.isdecimal()) or len(text) > 15 or not least <= int(text):
            raise Refused.because(400, IssueCode.VALUE, f"`{name}` must be a whole number from {least}.", name)
        return min(int(text), most)

    def one_of(self, name: str, choices: Collection[str], default: str = "") -> str:
        """One of some words; Refused with 400 for another."""
        text = self.given.get(name)
        if text is not None and text not in choices:
            raise Refused.because(400, IssueCode.VALUE, f"`{name}` must be one of {', '.join(choices)}.", name)
        return default if text is None else text

    def flag(self, name: str, *, default: bool = False) -> bool:
        return self.one_of(name, ("true", "false"), str(default).lower()) == "true"
