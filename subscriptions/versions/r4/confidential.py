"""
What of a Subscription is between its client and its endpoint: `channel.header`, which often holds a token.

https://hl7.org/fhir/uv/subscriptions-backport/STU1.1/safety_security.html
"""

import msgspec

_EMPTY = msgspec.Raw(b"[]")


def withhold(sent: bytes) -> tuple[bytes, bytes]:
    """
    A Subscription's JSON without its headers, and the JSON of these; empty when there are none.

    Where they were is an empty list, which no JSON of FHIR has. Of the channel's other members each keeps its bytes.
    """
    resource, channel = _opened(sent)
    headers = bytes(channel.get("header", b""))
    if headers in (b"", b"[]", b"null"):
        return sent, b""
    return _closed(resource, channel | {"header": _EMPTY}), headers


def restore(kept: bytes, withheld: bytes) -> bytes:
    """Undo `withhold`."""
    if not withheld:
        return kept
    resource, channel = _opened(kept)
    return _closed(resource, channel | {"header": msgspec.Raw(withheld)})


def _opened(sent: bytes) -> tuple[dict[str, msgspec.Raw], dict[str, msgspec.Raw]]:
    resource = msgspec.json.decode(sent, type=dict[str, msgspec.Raw])
    return resource, msgspec.json.decode(resource.get("channel", b"{}"), type=dict[str, msgspec.Raw])


def _closed(resource: dict[str, msgspec.Raw], channel: dict[str, msgspec.Raw]) -> bytes:
    return msgspec.json.encode(resource | {"channel": msgspec.Raw(msgspec.json.encode(channel))})
