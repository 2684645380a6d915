"""A subscription that is led through its life by the real scripts, for the tests of what they do to its events."""

from dataclasses import dataclass, field

from hub.keys import ResourceId, SubscriptionKey
from hub.outbox import Outboxes, Subscribed
from hub.stream import Entry
from hub.turn import Turn, Verb
from subscriptions.codes import FhirVersion, Interaction, SubscriptionStatus
from subscriptions.pace import Pace

R4 = FhirVersion.R4
#: ms since 1970; nothing waits for a time before it.
LONG_AGO = 1


def entry(partition: int, number: int) -> Entry:
    """The `number`-th change of a partition, from 1. Some share a millisecond."""
    resource = ResourceId("default", R4, "Patient", f"p{partition}-{number}")
    return Entry(
        f"{1_700_000_000_000 + number // 3}-{number % 3}", resource, number, Interaction.UPDATE, 1_600_000_000_000
    )


@dataclass
class Life:
    """
    One Subscription, and the one server that it has here.

    token: Of the last lease.
    """

    outboxes: Outboxes
    key: SubscriptionKey
    pace: Pace = field(default_factory=lambda: Pace(2))
    token: int = field(default=0)

    async def write(self, status: SubscriptionStatus, *, expected: str = "*") -> None:
        """A client creates it (`expected` empty) or changes it."""
        outcome, _ = await self.outboxes.write(
            self.key,
            expected=expected,
            status=status,
            resource=b"{}",
            pace=self.pace,
            now=LONG_AGO,
            not_before=LONG_AGO,
        )
        assert outcome is (Subscribed.CHANGED if expected else Subscribed.CREATED)

    async def turn(self) -> Turn:
        """Begin to serve it, under a new lease."""
        self.token += 1
        turn = await self.outboxes.take(self.key, str(self.token))
        assert isinstance(turn, Turn)
        return turn

    async def settle(self, turn: Turn, verb: Verb, ends: dict[int, str] | None = None) -> Turn:
        """Settle under the last lease."""
        settled = await self.outboxes.settle(self.key, str(self.token), turn, verb, said="so", ends=ends)
        assert settled is not None
        return settled

    async def active(self, ends: dict[int, str] | None = None) -> Turn:
        """Create it, and accept its handshake."""
        await self.write(SubscriptionStatus.REQUESTED, expected="")
        return await self.settle(await self.turn(), Verb.ACTIVE, ends)
