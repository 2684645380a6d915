"""What the workers and the clock are built from."""

import os
import random
import socket
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Protocol
from urllib.parse import urlsplit

from hub.addressees import Addressees, Operator
from hub.alerts import Alerting
from hub.breakers import Breakers, Caller
from hub.channels.clients import Clients
from hub.channels.origins import Origins
from hub.channels.rest_hook import RestHook
from hub.clock import Clock
from hub.credentials import Credentials
from hub.delivery import SLOW_LANES, Delivery
from hub.fanout import Fanout
from hub.in_force import InForce
from hub.instants import now_ms
from hub.presence import Presence
from hub.sender import Sender, lease_ms
from hub.wiring.erasing import erasing
from hub.wiring.parts import Parts
from hub.withdrawal import Withdrawals
from subscriptions.retry import Policy
from subscriptions.signing import Secret


class Engine(Protocol):
    """
    What a worker process runs until it is cancelled: matching or delivering.

    When it ends, however it does, it has closed all that it had beside the parts that it was built from.
    """

    async def run(self) -> None: ...


def process_name() -> str:
    """A name for this process, for its life."""
    return f"{socket.gethostname()}-{os.getpid()}-{random.randrange(16**6):06x}"  # noqa: S311 (a name, no secret)


def matching(p: Parts) -> Engine:
    """What a match worker runs."""
    return Fanout(
        changes=p.changes,
        store=p.store,
        outboxes=p.outboxes,
        due=p.due,
        in_force=InForce(p.registry, p.tenancy, p.access, p.suppressions, p.telling.standings),
        batch=p.settings.match_batch,
        presence=Presence(p.pipeline, "match", process_name()),
        telling=p.telling,
        audit=p.audit,
        meter=p.meter,
        traces=p.traces,
    )


def delivering(p: Parts) -> Engine:
    """What a deliver worker runs."""
    settings = p.settings
    origins = Origins(settings.origin_slots, SLOW_LANES * settings.deliver_lanes)
    channel = RestHook(Clients(p.guard, settings.private_hosts, settings.endpoint_ca_file))
    sender = Sender(
        due=p.due,
        outboxes=p.outboxes,
        changes=p.changes,
        registry=p.registry,
        channel=channel,
        keyring=p.keyring,
        seal=p.seal,
        origins=origins,
        breakers=Breakers(p.pipeline, origins, lease_ms(settings.request_timeout), random.random, now_ms),
        hub=p.foundation.epoch,
        tenancy=p.tenancy,
        disclosure=p.disclosure,
        audit=p.audit,
        timeout=settings.request_timeout,
        most_bytes=settings.max_body_bytes,
        policy=Policy(settings.retry_waits),
        telling=p.telling,
        dice=random.random,
        now=lambda: datetime.now(UTC),
        meter=p.meter,
        traces=p.traces,
    )
    addressees = Addressees(p.pipeline, p.keyring, channel, operator(p), sender.breakers.is_drained)
    alerting = Alerting(p.pipeline, p.outboxes, addressees, p.foundation.epoch, p.tenancy)
    return Delivery(sender, Presence(p.pipeline, "deliver", process_name()), settings.deliver_lanes, alerting=alerting)


def operator(p: Parts) -> Operator:
    """Who runs the hub, to be told of what happens to subscriptions."""
    settings = p.settings
    secret = (Secret.parse(settings.alert_secret),) if settings.alert_secret else ()
    hosts = frozenset([urlsplit(settings.alert_url).hostname or ""])
    return Operator(
        settings.alert_url,
        Credentials(signing=secret),
        RestHook(Clients(p.guard, hosts, settings.endpoint_ca_file)),
    )


def clock(p: Parts, *, top_up: Callable[[], Awaitable[None]]) -> Clock:
    """The clock, given what it enqueues pumps with."""
    return Clock(
        pipeline=p.pipeline,
        name=process_name(),
        now=now_ms,
        top_up=top_up,
        transactions=p.transactions,
        membership=p.membership,
        due=p.due,
        caller=Caller(p.pipeline, p.due, p.outboxes),
        retention=p.retention,
        audits=p.audits,
        withdrawals=Withdrawals(p.pipeline, p.telling.standings, p.registry, p.outboxes, p.due),
        erasing=erasing(p),
        changes=p.changes,
        sampling=p.sampling,
    )
