"""A gate behind which it is known, for the rest of a request, what whoever was let in may see."""

from dataclasses import dataclass

from starlette.requests import Request

from hub.access import Caller
from hub.api.asking import Asking
from hub.api.routes import Gate
from hub.visibility import Visibility


@dataclass(frozen=True, slots=True)
class Seeing:
    """Tells callers apart as another gate does."""

    gate: Gate
    visibility: Visibility

    @property
    def asking(self) -> Asking:
        return self.gate.asking

    async def caller(self, request: Request) -> Caller:
        caller = await self.gate.caller(request)
        self.visibility.answering(caller)
        return caller
