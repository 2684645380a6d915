"""Until somebody waits for a lock."""

from tests.facts import eventually
from tests.hub.api.server import Hub


async def is_waited_for(hub: Hub) -> None:
    """Until somebody has asked for a lock in vain a few times: nothing else runs scripts meanwhile."""
    before = await _scripts(hub)
    await eventually(lambda: _more_scripts(hub, before + 3))


async def _scripts(hub: Hub) -> int:
    info = await hub.parts.client.info("commandstats")
    return sum(stats["calls"] for name, stats in info.items() if name in ("cmdstat_eval", "cmdstat_evalsha"))


async def _more_scripts(hub: Hub, wanted: int) -> bool:
    return await _scripts(hub) >= wanted
