"""How often a client may ask, and how often an address may without saying who it is. Each process counts for itself."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from math import ceil

from starlette.requests import Request

from hub.access import ANYBODY, Caller
from hub.api.asking import Asking
from hub.api.routes import Gate
from hub.errors import Refused
from subscriptions.allowance import Allowance, Rate
from subscriptions.codes import IssueCode
from subscriptions.errors import Issue

#: Those that are remembered; of more, whoever has asked least lately is forgotten, and has all of it again.
REMEMBERED = 10_000


@dataclass
class Allowances:
    """What each of many may still ask for."""

    rate: Rate
    now: Callable[[], float]
    _held: OrderedDict[str, Allowance] = field(default_factory=OrderedDict)

    def take(self, name: str) -> Allowance:
        """Raises Refused: 429, with when to come again."""
        now = self.now()
        held = self._held.get(name)
        if held is None:
            held = self._held[name] = Allowance.full(self.rate, now)
            if len(self._held) > REMEMBERED:
                self._held.popitem(last=False)
        self._held.move_to_end(name)
        if wait := held.take(now):
            raise _too_often(self.rate, wait)
        return held


@dataclass(frozen=True)
class Paced:
    """
    A gate that lets nobody through too often.

    Who comes through is counted as a client; where nobody is told apart, and for whoever is turned away, the address
    is what counts. A client is never turned away for what others do behind the same address.

    known, unknown: None for no limit.
    """

    gate: Gate
    known: Allowances | None
    unknown: Allowances | None

    @property
    def asking(self) -> Asking:
        return self.gate.asking

    async def caller(self, request: Request) -> Caller:
        try:
            caller = await self.gate.caller(request)
        except Refused:
            if self.unknown:
                self.unknown.take(_address(request))
            raise
        if self.known and "allowance" not in request.scope:  # one request is one, though it is asked about again
            name = _address(request) if caller.name == ANYBODY.name else caller.name
            request.scope["allowance"] = self.known.take(name)
        return caller


def _address(request: Request) -> str:
    """Where a request comes from. Of IPv6 the network: whoever has one address has all of it."""
    host = request.client.host if request.client else ""
    try:
        address = ip_address(host)
    except ValueError:  # a socket of this machine, or an address with a zone
        return host
    return str(IPv6Address(int(address) >> 64 << 64)) if isinstance(address, IPv6Address) else host


def _too_often(rate: Rate, wait: float) -> Refused:
    seconds = ceil(wait)
    text = f"There are more requests than {rate.each:g} a second: try again in {seconds} s."
    return Refused(429, Issue(IssueCode.THROTTLED, text), headers={"Retry-After": str(seconds)})
