"""Clients of one hub that are told apart, by a gate that believes what they say of themselves."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace

import httpx
from starlette.requests import Request

from hub.access import DEFAULT, Caller, Client, Key
from hub.api.asking import NOTHING, Asking
from hub.errors import Refused
from hub.settings import Settings
from subscriptions.clearance import FULL
from subscriptions.codes import Content, IssueCode
from subscriptions.rights import Rights
from subscriptions.scopes import Scopes
from tests.hub.api.server import FHIR, Hub, serving

HEADER = "X-Client"


@dataclass
class Believing:
    """A gate. `rights`: By the name that a client gives."""

    rights: dict[str, Rights] = field(default_factory=dict)
    asking: Asking = NOTHING

    async def caller(self, request: Request) -> Caller:
        name = request.headers.get(HEADER, "")
        if name not in self.rights:
            raise Refused.because(401, IssueCode.LOGIN, "Who are you?")
        return Caller(name, DEFAULT, self.rights[name])


@dataclass(frozen=True)
class Clients:
    """A hub, seen by its clients."""

    hub: Hub
    gate: Believing
    stack: AsyncExitStack

    async def may(self, name: str, scopes: str, content: Content = Content.FULL_RESOURCE) -> Hub:
        """The hub as a client sees it that may do this from now on, and nothing else."""
        self.gate.rights[name] = Rights(Scopes.parse(scopes), content, FULL)
        transport, headers = httpx.ASGITransport(self.hub.app), {**self.hub.client.headers, HEADER: name}
        client = httpx.AsyncClient(transport=transport, base_url=FHIR, headers=headers)
        return replace(self.hub, client=await self.stack.enter_async_context(client))

    async def register(self, name: str, scopes: str, content: Content) -> None:
        """Have a record of a client kept, and a key of its own."""
        rights = Rights(Scopes.parse(scopes), content)
        access = self.hub.parts.access
        await access.set(Client(name, DEFAULT, rights))
        key, _ = Key.new(name, rights.scopes, now=access.now(), expires=None)
        await access.set(key)


@asynccontextmanager
async def telling_apart(wanted: Settings) -> AsyncIterator[Clients]:
    gate = Believing()
    async with serving(wanted, gate) as hub, AsyncExitStack() as stack:
        yield Clients(hub, gate, stack)
