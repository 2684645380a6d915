"""`$get-ws-binding-token`: refused, as long as there is no websocket to bind."""

import pytest

from tests.hub.api.server import Hub, issue


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", ["$get-ws-binding-token", "a/$get-ws-binding-token"])
async def test_no_token_is_given(hub: Hub, method: str, path: str) -> None:
    """Whichever way it is asked for, the client learns that the operation is missing, and not its Subscription."""
    refused = await hub.client.request(method, f"/Subscription/{path}")
    assert refused.status_code == 400
    assert (issue(refused)["code"], issue(refused)["expression"]) == ("not-supported", ["Subscription"])
    assert "websocket" in issue(refused)["details"]["text"]
