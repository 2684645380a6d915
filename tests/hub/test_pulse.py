"""What was counted lately, read once for all who ask."""

from hub.figures import Readings
from hub.pulse import BELIEVED, OF_HOUR, Pulse
from hub.wiring.parts import Parts


async def test_it_is_read_once_for_all_who_ask_in_a_while(parts: Parts) -> None:
    """What was counted in an hour is much to read, and is read less often than that of a minute."""
    clock = [100.0]
    pulse = Pulse(Readings(parts.pipeline), parts.changes, now=lambda: clock[0])
    beat, hour = await pulse.beat(), await pulse.hour()
    clock[0] += BELIEVED - 0.1
    assert await pulse.beat() is beat
    clock[0] += 0.2
    assert await pulse.beat() is not beat
    assert await pulse.hour() is hour
    clock[0] += OF_HOUR
    assert await pulse.hour() is not hour
