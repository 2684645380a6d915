"""
The links of a narrative, `<a href>` and `<img src>`: https://hl7.org/fhir/R4/narrative.html.

Only what stands in a tag counts: the same letters in text, comments or other attributes are no link.
"""

import re
from collections.abc import Iterator, Mapping
from html import escape

import msgspec

_ATTRIBUTE_OF = {"a": "href", "img": "src"}

# Nothing that was taken is given back, and a comment without an end takes all the rest: so it goes over a text once.
_TAG = re.compile(
    r"<!--(?:.*?-->|.*)|<!\[CDATA\[(?:.*?\]\]>|.*)"
    r"""|<(?P<name>a|img)(?P<attributes>(?:\s++[\w:.-]++\s*+=\s*+(?:"[^"<]*+"|'[^'<]*+'))*+)\s*+/?>""",
    re.DOTALL,
)
_ATTRIBUTE = re.compile(r"""\s([\w:.-]++)\s*+=\s*+(?:"([^"]*+)"|'([^']*+)')""")

#: A character of a JSON string, as it may be written there.
_CHARACTER = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.|[^\\]", re.DOTALL
)


def urls(div: str) -> Iterator[str]:
    """The target of each link, as it is written."""
    return (div[start:end] for start, end in _places(div))


def redirected(raw: bytes, targets: Mapping[str, str]) -> bytes:
    """
    The JSON of a narrative with other targets of its links. All other bytes stay.

    Args:
        targets: The new ones, by the old ones.
    """
    characters = _CHARACTER.findall(raw.decode()[1:-1])
    div = msgspec.json.decode(raw, type=str)
    for start, end in reversed(list(_places(div))):
        if target := targets.get(div[start:end]):
            characters[start:end] = [msgspec.json.encode(escape(target)).decode()[1:-1]]
    return b'"%b"' % "".join(characters).encode()


def _places(div: str) -> Iterator[tuple[int, int]]:
    """Where the targets stand: from, and up to but not including."""
    for tag in _TAG.finditer(div):
        if tag["name"]:
            for attribute in _ATTRIBUTE.finditer(div, *tag.span("attributes")):
                if attribute[1] == _ATTRIBUTE_OF[tag["name"]]:
                    yield attribute.span(attribute.lastindex or 0)
