"""The separators of search values, and how they are escaped: https://hl7.org/fhir/R4/search.html#escaping."""

import re

from subscriptions.codes import IssueCode
from subscriptions.errors import Issue, Rejected

_ESCAPED = re.compile(r"\\([\\,|$])")


def split(text: str, separator: str) -> list[str]:
    r"""Split at the separators that no backslash escapes; the parts keep their escapes: `a\,b,c` gives `a\,b`, `c`."""
    if "\\" not in text:
        return text.split(separator)
    parts, escaped = [""], False
    for character in text:
        if character == separator and not escaped:
            parts.append("")
        else:
            parts[-1] += character
        escaped = character == "\\" and not escaped
    return parts


def escape(text: str) -> str:
    """Write a literal so that nothing in it separates."""
    return re.sub(r"([\\,|$])", r"\\\1", text)


def unescape(text: str) -> str:
    r"""
    Read what `escape` wrote.

    Raises:
        Rejected: A backslash stands before anything but `\`, `,`, `|` and `$`.
    """
    if "\\" in _ESCAPED.sub("", text):
        reason = rf"`{text}`: a backslash stands before `\`, `,`, `|` or `$`; a literal one is written `\\`"
        raise Rejected(Issue(IssueCode.VALUE, reason))
    return _ESCAPED.sub(r"\1", text)
