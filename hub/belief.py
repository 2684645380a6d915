"""For how long a process goes by what it saw last of rights, and of what is kept from whom."""

#: ms.
BELIEVED = 1_000


def outdated(looked: int, now: int) -> bool:
    """Whether it is time to look again, after a look at `looked` (ms); also when the clock was set back since."""
    return not 0 <= now - looked < BELIEVED
