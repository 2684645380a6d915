"""Whatever happens to the hub: nothing lost, nothing out of order, nothing twice but what was on its way."""

import os
import random
from pathlib import Path

import pytest

from tests.faults.chaos import Chaos

#: `make chaos` takes ten minutes.
SECONDS = float(os.environ.get("CHAOS_SECONDS", "20"))
SEED = int(os.environ.get("CHAOS_SEED") or random.randrange(10**6))


@pytest.mark.timeout(SECONDS + 300)
async def test_chaos(data: Path) -> None:
    """Parts and Redis killed, stopped, cut off, slow, full; subscribers that misbehave: what was promised is kept."""
    print(f"\nCHAOS_SEED={SEED}")
    chaos = Chaos(SECONDS, SEED, data)
    try:
        await chaos.run()
    finally:
        print("\n".join(chaos.bugs))
    print(f"\n{chaos.table()}")
    assert [f"{path}: {line}" for path, verdict in chaos.verdicts.items() for line in verdict.broken] == []
    assert chaos.behind == []
    assert chaos.uncaused == []
    assert chaos.ended == []
