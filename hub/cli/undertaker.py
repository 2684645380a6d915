"""
Where the kernel can't tie a process to its parent: a process that ends what a dead supervisor leaves behind.

It reads `+pid` and `-pid` lines from the supervisor's pipe. When that closes, every pid that is still on the list is
killed. It must outlive whatever stops the supervisor, so it ignores the signals that do.
"""

import os
import signal
import sys
from contextlib import suppress


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    alive: set[int] = set()
    for line in sys.stdin:
        (alive.add if line.startswith("+") else alive.discard)(int(line[1:]))
    for pid in alive:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
