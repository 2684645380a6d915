"""How much somebody may ask for: so much in a second, and what was saved up. Time is an argument, in seconds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """
    each: How much a second brings; more than 0.
    most: How much may be saved up; 1 or more.
    """

    each: float
    most: float


@dataclass(slots=True)
class Allowance:
    """
    What is left of it. Less than nothing is a debt, after which whoever has it waits.

    left: At the time `at`.
    """

    rate: Rate
    left: float
    at: float

    @classmethod
    def full(cls, rate: Rate, now: float) -> "Allowance":
        return cls(rate, rate.most, now)

    def take(self, now: float) -> float:
        """Take 1 and return 0.0; or take nothing, and return after how many seconds there will be one."""
        # A clock that goes back brings nothing, and takes nothing.
        self.left = min(self.left + max(now - self.at, 0.0) * self.rate.each, self.rate.most)
        self.at = max(now, self.at)
        if self.left < 1:
            return (1 - self.left) / self.rate.each
        self.left -= 1
        return 0.0

    def charge(self, count: float) -> None:
        """Take more than was asked for, be it there or not."""
        self.left -= count
