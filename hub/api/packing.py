"""Bodies that came packed."""

import zlib

from hub.errors import Refused
from subscriptions.codes import IssueCode


def unpacked(packed: bytes, most: int) -> bytes:
    """What gzip has packed: never more than `most`, however small it came."""
    parts, size = [], 0
    try:
        while packed:
            unpacker = zlib.decompressobj(wbits=31)
            parts.append(unpacker.decompress(packed, most - size + 1))
            size += len(parts[-1])
            if size > most:
                raise too_large(most)
            if not unpacker.eof:
                raise zlib.error("it ends too early")
            packed = unpacker.unused_data
    except zlib.error as error:
        raise Refused.because(400, IssueCode.STRUCTURE, f"The body is not sound gzip: {error}.") from None
    return b"".join(parts)


def too_large(most: int) -> Refused:
    return Refused.because(413, IssueCode.TOO_LONG, f"The body is larger than {most} bytes, unpacked.")
