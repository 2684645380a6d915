"""Whether a request is the hub's: Standard Webhooks 1.0.0, see `subscriptions.signing`."""

import time
from collections.abc import Callable, Mapping

from hub.receiver.errors import Forged
from subscriptions.signing import Secret, parse_public, signed_by

#: Seconds for which a signature is good, and by which two clocks may differ.
TOLERANCE = 300.0


class Verifier:
    """
    Knows the hub by what it signs with: `whsec_…` of one Subscription, or `whpk_…`, the hub's own key.

    Several are given while a secret is changed: any of them will do. By the hub's own key everything is signed that it
    sends to anybody: whoever verifies by that alone says to the Receiver which Subscriptions are its own.

    Args:
        tolerance: Seconds.
        now: Seconds since 1970.

    Raises:
        ValueError: There is no key, or it is none; nothing of it is shown.

    >>> Verifier("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").verify(b"{}", {})
    Traceback (most recent call last):
    hub.receiver.errors.Forged: it is not signed
    """

    def __init__(self, *keys: str, tolerance: float = TOLERANCE, now: Callable[[], float] = time.time) -> None:
        if not keys:
            raise ValueError("a secret (whsec_…) or a public key (whpk_…)")
        self._keys = [parse_public(key) if key.startswith("whpk_") else Secret.parse(key) for key in keys]
        self._tolerance = tolerance
        self._now = now

    def verify(self, body: bytes, headers: Mapping[str, str]) -> None:
        """
        Raise Forged unless a request was signed by one of the keys, and lately.

        Args:
            body: The bytes as they came, before anything parses them.
        """
        given = {name.lower(): value for name, value in headers.items()}
        id_, at, signatures = (given.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature"))
        if not (id_ and at and signatures):
            raise Forged("it is not signed")
        if not (at.isascii() and at.isdecimal() and len(at) < 16):
            raise Forged("its time is none")
        if abs(self._now() - int(at)) > self._tolerance:
            raise Forged("it was signed long ago, or the clocks here and there differ")
        if not signed_by(self._keys, id_, at, body, signatures):
            raise Forged("it was not signed by the hub, or was altered")
