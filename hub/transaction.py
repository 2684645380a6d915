"""
Transactions over the store: all of it or nothing, whatever is killed or races.

`hub:{tx:<id>}:transaction` is a hash of `state` (`open`, then `committed` or `undone`; `done` when all is applied),
`attempt` (random: each try to run a transaction is one), `fingerprint` (of an idempotent request), `writes` (what it
does; gone when it has ended), `deadline` (ms after which an open one may be undone by anybody) and `answer`. It lives
until a day after its end. `hub:{transactions}:open` has the attempts that may have reserved something, by deadline.

The writes are put down, every resource is reserved with its preconditions checked, the attempt is committed (the one
point of decision), every write is applied, the transaction is done. A reservation names its attempt. Whoever meets one
looks the attempt up: undone, done or superseded, the reservation means nothing; committed, it may be completed by
anybody; open and overdue, it may be undone by anybody. So nothing depends on the process that began it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from logging import getLogger
from typing import TypeVar
from uuid import uuid4

import msgspec

from hub.errors import Refused, Unavailable
from hub.instants import now_ms
from hub.intent import Attempt, Blocked, Intent, Key, State
from hub.keys import TRANSACTIONS, ResourceId, transaction
from hub.pipeline import Pipeline, script
from hub.store import Store
from hub.tracing import REQUEST
from hub.write import Lock, Put, PutResult, Write
from subscriptions.codes import IssueCode

INTEND, DECIDE, FINISH = script("intend"), script("decide"), script("finish")

#: ms: how long an attempt may be open; how long a transaction is remembered; how long a lock is held.
DEADLINE = 10_000
KEPT = 24 * 3600 * 1000
LOCKED = 10_000
#: Seconds: how long a request waits for others; after what time somebody else's commit is completed for them.
PATIENCE = 2.0
HELP_AFTER = 0.5
PAUSE = 0.02

log = getLogger("hub.transaction")

_Result = TypeVar("_Result")
_WRITES = msgspec.msgpack.Decoder(list[Write])


class TransactionCoordinator:
    """Runs transactions, ends those that were left, and waits for those that are in the way."""

    def __init__(self, pipeline: Pipeline, store: Store) -> None:
        self._pipeline = pipeline
        self._store = store
        self._reservations = store.reservations

    async def run(
        self, writes: Sequence[Write], answer: Callable[[Sequence[PutResult]], bytes], *, key: Key | None = None
    ) -> bytes:
        """
        Do all writes, each to a resource of its own, or none.

        Args:
            answer: Makes what is kept as the answer from what the writes are going to do.

        Returns:
            The answer; for a repeated request the first one's.

        Raises:
            Blocked: A precondition does not hold.
            Refused: The key was used with another body.
            Unavailable: Redis did not confirm, or somebody else was in the way for too long.
        """
        begun = await self.begin(writes, key=key)
        if isinstance(begun, bytes):
            return begun
        try:
            said = answer(await self.reserve(begun))
        except BaseException:
            with suppress(Unavailable):
                await self.undo(begun.attempt, begun.writes)
            raise
        await self.commit(begun, said)
        await self.complete(begun.attempt, begun.writes)
        return said

    async def begin(self, writes: Sequence[Write], *, key: Key | None = None) -> Intent | bytes:
        """Write down what will be done. Returns an earlier request's answer instead if it had the same key."""
        key = key or Key(str(uuid4()), "")
        attempt = Attempt(key.id, uuid4().hex)
        trace = REQUEST.get().trace
        intent = Intent(attempt, tuple(replace(write, transaction=str(attempt), trace=trace) for write in writes))
        encoded = self._store.vault.wrap(transaction(key.id), msgspec.msgpack.encode(intent.writes))
        until = time.monotonic() + PATIENCE
        while True:
            deadline = now_ms() + DEADLINE
            arguments = (attempt.number, key.fingerprint, encoded, deadline, KEPT)
            reply = await self._pipeline.run(INTEND, [transaction(key.id)], *arguments)
            if reply[1].decode() == attempt.number:
                await self._pipeline.command("ZADD", TRANSACTIONS, deadline, str(attempt))
                return intent
            if (earlier := await self._earlier(key, reply, until)) is not None:
                return earlier

    async def answered(self, key: Key) -> bytes | None:
        """What an earlier request with this key was answered; None if nothing came of any."""
        until = time.monotonic() + PATIENCE
        fields = ("state", "attempt", "fingerprint", "answer", "deadline")
        while True:
            reply = await self._pipeline.command("HMGET", transaction(key.id), *fields)
            if reply[0] in (None, b"undone"):
                return None
            if (earlier := await self._earlier(key, reply, until)) is not None:
                return earlier

    async def _earlier(self, key: Key, reply: Sequence[bytes], until: float) -> bytes | None:
        """The answer of the attempt that INTEND found; None when another look is needed."""
        state, attempt = State(reply[0].decode()), Attempt(key.id, reply[1].decode())
        if state is not State.UNDONE and reply[2].decode() != key.fingerprint:
            reason = f"this {key.name} was used with another body within the last 24 hours: take a new one."
            raise Refused.because(422, IssueCode.BUSINESS_RULE, reason)
        if state is State.COMMITTED:
            await self.complete(attempt)
        if state in (State.COMMITTED, State.DONE):
            return reply[3]
        await self._get_on(attempt, until)
        return None

    async def reserve(self, intent: Intent) -> list[PutResult]:
        """
        Reserve all resources; what each write is going to do, in their order.

        They are reserved in one order by all transactions, and none above one that has to be waited for stays
        reserved: so two transactions never wait for each other.
        """
        found: dict[ResourceId, PutResult] = {}
        waiting = sorted(intent.writes, key=lambda write: str(write.resource))
        until = time.monotonic() + PATIENCE
        while waiting:
            results = await _all(self._reservations.reserve(write) for write in waiting)
            met = list(zip(waiting, results, strict=True))
            for write, result in met:
                if result.outcome is Put.FENCED:
                    raise Unavailable("a conditional create took too long: somebody else may do it now")
                if result.outcome in (Put.EXISTS, Put.CONFLICT):
                    raise Blocked(write, result)
            taken = next((n for n, result in enumerate(results) if result.outcome is Put.RESERVED), len(met))
            found |= {write.resource: result for write, result in met[:taken]}
            waiting = waiting[taken:]
            if waiting:
                above = (write for write, result in met[taken:] if result.outcome is not Put.RESERVED)
                # Their locks stay: whoever waits for a lock has not reserved anything yet, so no circle comes of it.
                await _all(self._reservations.unreserve(write.resource, write.transaction) for write in above)
                await self.outlast(waiting[0].resource, results[taken].by, until)
        return [found[write.resource] for write in intent.writes]

    async def commit(self, intent: Intent, answer: bytes) -> None:
        """Decide that all of it happens. From here on it does, whoever dies."""
        if await self._decide(intent.attempt, State.COMMITTED, answer) not in (State.COMMITTED, State.DONE):
            await self.undo(intent.attempt, intent.writes)
            raise Unavailable("the transaction took too long and was undone")

    async def complete(self, attempt: Attempt, writes: Sequence[Write] | None = None) -> None:
        """Apply what was committed. Safe to repeat, by anybody, whoever has reserved meanwhile what it had written."""
        writes = writes or await self._writes(attempt)
        # The lock of a conditional create falls with the create: who has waited for it must find all the rest done.
        applied = await _all(self._apply(write) for write in writes if not write.lock)
        applied += await _all(self._apply(write) for write in writes if write.lock)
        if wrong := [outcome for outcome in applied if outcome not in (Put.STORED, Put.REPEATED, Put.ABSENT)]:
            log.error("transaction.stuck", extra={"transaction": str(attempt), "outcomes": wrong})
            raise Unavailable("a committed transaction could not be applied")
        await self._end(attempt)

    async def undo(self, attempt: Attempt, writes: Sequence[Write] | None = None) -> None:
        """Decide that nothing of it happens and give everything back, unless it was decided otherwise."""
        match await self._decide(attempt, State.UNDONE):
            case State.COMMITTED:
                await self.complete(attempt, writes)
            case State.UNDONE | State.GONE:
                await _all(self._give_back(write) for write in (writes or await self._writes(attempt)))
                await self._end(attempt)
            case _:
                await self._end(attempt)

    async def settle_open(self, now: int) -> None:
        """
        End what was left: undo what is overdue, complete what was committed a while ago. `now` is in ms.

        What can't be ended now is logged and left for the next time; it keeps nobody else waiting.
        """
        rows = await self._pipeline.command("ZRANGE", TRANSACTIONS, 0, -1, "WITHSCORES")
        pairs = rows if rows and isinstance(rows[0], (list, tuple)) else zip(rows[::2], rows[1::2], strict=True)
        for member, deadline in pairs:
            attempt, age = Attempt.parse(member.decode()), now - (int(float(deadline)) - DEADLINE)
            try:
                if age >= DEADLINE:
                    await self.undo(attempt)
                elif age >= HELP_AFTER * 1000 and (await self._state(attempt))[0] is State.COMMITTED:
                    await self.complete(attempt)
            except Unavailable as error:
                log.warning("transaction.left", extra={"transaction": str(attempt), "reason": str(error)})

    async def settle_lost(self, now: int) -> None:
        """Undo what was written down and never begun, and so is in no list: who meant to do it died in between."""
        async for keys in self._pipeline.scan(transaction("*")):
            held = await self._pipeline.all([("HMGET", key, "state", "attempt", "deadline") for key in keys])
            for key, (state, number, deadline) in zip(keys, held, strict=True):
                if state == State.OPEN.encode() and int(deadline) < now:
                    id_ = key.decode().partition("{tx:")[2].partition("}")[0]
                    await self.undo(Attempt(id_, number.decode()))

    async def under_way(self, began: int) -> bool:
        """Whether an attempt is not ended that began before this time, in ms."""
        return bool(await self._pipeline.command("ZCOUNT", TRANSACTIONS, "-inf", f"({began + DEADLINE}"))

    async def outlast(self, resource: ResourceId, by: str, until: float) -> None:
        """
        Wait until an attempt's reservation of a resource is no hindrance any more.

        Args:
            until: Of `time.monotonic()`.

        Raises:
            Unavailable: It still is.
        """
        while not await self._get_on(Attempt.parse(by), until):
            pass
        await self._reservations.unreserve(resource, by)

    async def lock(self, name: str) -> Lock:
        """
        Take the lock of a conditional create, waiting for whoever has it.

        Raises:
            Unavailable: It still is somebody else's after a while.
        """
        until = time.monotonic() + PATIENCE
        while True:
            taken = await self._reservations.lock(name, milliseconds=LOCKED)
            if isinstance(taken, Lock):
                return taken
            if "." not in taken.by:
                await _pause(until)
            elif await self._get_on(Attempt.parse(taken.by), until):
                await self._reservations.unlock(Lock(name, taken.by))

    async def _get_on(self, attempt: Attempt, until: float) -> bool:
        """Wait a little for an attempt, or end one that was left alone. True when it is ended."""
        state, deadline = await self._state(attempt)
        if state in (State.DONE, State.GONE):
            return True
        if state is State.UNDONE or (state is State.OPEN and deadline < now_ms()):
            await self.undo(attempt)
        elif state is State.COMMITTED and time.monotonic() > until - PATIENCE + HELP_AFTER:
            await self.complete(attempt)
        else:
            await _pause(until)
            return False
        return True

    async def _state(self, attempt: Attempt) -> tuple[State, int]:
        """The state and the deadline."""
        held = await self._pipeline.command("HMGET", transaction(attempt.id), "state", "attempt", "deadline")
        if held[0] is None or held[1].decode() != attempt.number:
            return State.GONE, 0
        return State(held[0].decode()), int(held[2])

    async def _decide(self, attempt: Attempt, state: State, answer: bytes = b"") -> State:
        reply = await self._pipeline.run(DECIDE, [transaction(attempt.id)], attempt.number, state, answer)
        return State(reply.decode())

    async def _writes(self, attempt: Attempt) -> list[Write]:
        """What an attempt does; empty when it has ended."""
        held = await self._pipeline.command("HMGET", transaction(attempt.id), "attempt", "writes")
        if not held[1] or held[0].decode() != attempt.number:
            return []
        return _WRITES.decode(self._store.vault.unwrap(transaction(attempt.id), held[1]))

    async def _apply(self, write: Write) -> Put:
        lock = Lock(write.lock.name, write.transaction) if write.lock else None
        return (await self._store.put(replace(write, expected="", lock=lock))).outcome

    async def _give_back(self, write: Write) -> None:
        await self._reservations.unreserve(write.resource, write.transaction, write.lock.name if write.lock else "")

    async def _end(self, attempt: Attempt) -> None:
        await self._pipeline.run(FINISH, [transaction(attempt.id)], attempt.number, KEPT)
        await self._pipeline.command("ZREM", TRANSACTIONS, str(attempt))


async def _pause(until: float) -> None:
    if time.monotonic() > until:
        raise Unavailable("somebody else is writing the same; try again")
    await asyncio.sleep(PAUSE)


async def _all(steps: Iterable[Awaitable[_Result]]) -> list[_Result]:
    """All results; when one fails, its error after the others have ended."""
    results = await asyncio.gather(*steps, return_exceptions=True)
    found: list[_Result] = []
    for result in results:
        if isinstance(result, BaseException):
            raise result
        found.append(result)
    return found
