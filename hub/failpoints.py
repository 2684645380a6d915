"""
Places at which a process can be told to die at once, as by kill -9, so that tests see what is left.

`HUB_CRASH_AT=<name>[:nth]` names one. Its names are `before:` or `after:` and a step: a script of `lua/` (`put`), any
other command of Redis' (`zadd`), or `request` for one outgoing HTTP request. For developers: it is no setting.
"""

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

_T = TypeVar("_T")

#: The environment variable. A supervisor takes it from a part once it has died.
CRASH_AT = "HUB_CRASH_AT"
#: As the shell tells of a process that was killed by SIGKILL.
KILLED = 137


@dataclass(slots=True)
class Failpoint:
    """
    The place that was named.

    left: The process dies when it comes there for the so manieth time.
    """

    name: str
    left: int

    async def around(self, step: str, work: Callable[[], Awaitable[_T]]) -> _T:
        """Do a step; the process may die before it, or after it."""
        self._pass(f"before:{step}")
        done = await work()
        self._pass(f"after:{step}")
        return done

    def _pass(self, name: str) -> None:
        if name == self.name:
            self.left -= 1
            if self.left == 0:
                os._exit(KILLED)


def failpoint() -> Failpoint | None:
    """The place that the environment names; None, as always in production, if it names none."""
    at = os.environ.get(CRASH_AT, "")
    if not at:
        return None
    when, _, rest = at.partition(":")
    step, _, nth = rest.partition(":")
    return Failpoint(f"{when}:{step}", int(nth or 1))
