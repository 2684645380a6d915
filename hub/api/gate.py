"""Who calls: https://hl7.org/fhir/smart-app-launch/STU2.2/backend-services.html."""

from starlette.requests import Request

from hub.access import ANYBODY, Caller


class OpenGate:
    """Tells nobody apart: `HUB_AUTH=none`."""

    async def caller(self, request: Request) -> Caller:  # noqa: ARG002 (whoever it is)
        return ANYBODY
