"""
Regular expressions of somebody else. RE2 matches in time that grows with text and pattern, whatever they say; it does
not know what would need backtracking, lookaround and back references: https://github.com/google/re2/wiki/Syntax.
"""

from functools import lru_cache
from typing import Any

import re2


class Unsupported(ValueError):
    """It is not a regular expression, or one of a kind that is not supported."""


class Pattern:
    """A compiled regular expression. Get it from `pattern`: there is one object of each."""

    def __init__(self, text: str) -> None:
        """
        Raises:
            Unsupported: It can't be used.
        """
        options = re2.Options()
        options.dot_nl = True  # https://hl7.org/fhirpath/N1/#matchesregex-string-boolean: a dot matches line breaks too
        options.log_errors = False
        try:
            self._compiled: Any = re2.compile(text, options)
        except (re2.error, UnicodeEncodeError) as error:
            reason = error.args[0].decode() if isinstance(error, re2.error) else "it is no text"
            raise Unsupported(f"the pattern `{text[:80]}` can't be used: {reason}") from None

    @property
    def size(self) -> int:
        """Steps that a character may take, at most."""
        return int(self._compiled.programsize)

    def found_in(self, text: str) -> bool:
        """Whether it matches anywhere in a text."""
        return self._compiled.search(text) is not None


# The largest take several MB each.
@lru_cache(maxsize=128)
def pattern(text: str) -> Pattern:
    """
    Raises:
        Unsupported: As `Pattern` does.
    """
    return Pattern(text)
