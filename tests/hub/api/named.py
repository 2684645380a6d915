"""Clients that are who they say they are."""

from dataclasses import dataclass, field

from starlette.requests import Request

from hub.access import DEFAULT, Caller
from hub.api.asking import KEY, Asking
from hub.api.gate import refused
from hub.unproven import Fault
from subscriptions.rights import EVERYTHING


@dataclass
class ByName:
    """A gate that believes whatever name it is told, and turns away who has none."""

    asking: Asking = field(default=KEY)

    async def caller(self, request: Request) -> Caller:
        name = request.headers.get("x-name")
        if not name:
            raise refused(Fault.UNKNOWN)
        return Caller(name, DEFAULT, EVERYTHING)
