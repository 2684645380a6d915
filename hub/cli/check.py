"""
`hub check`: whether a part that serves no HTTP is at work; for the healthchecks of containers.

It runs every few seconds in each of them, so it asks Redis directly and imports next to nothing.
"""

import argparse
import socket

import msgspec
from redis import Redis, RedisCluster

from hub.errors import Unavailable
from hub.foundation import unusable
from hub.keys import CLOCK, pumps
from hub.settings import Settings
from hub.wire import FAILURES

#: Seconds for Redis to answer.
PATIENCE = 3


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("part", choices=("match", "deliver", "clock"), help="a worker of this host, or the one clock")
    parser.add_argument("--json", action="store_true", help="say it as JSON too")


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    url = settings.shared_redis_url
    client = RedisCluster if settings.redis_cluster else Redis
    try:
        with client.from_url(url, socket_timeout=PATIENCE) as redis:
            at_work = _at_work(arguments.part, redis)
    except FAILURES as error:
        raise unusable(error, "HUB_REDIS_URL") from error
    if arguments.json:
        print(msgspec.json.encode({"part": arguments.part, "atWork": at_work}).decode())
    if not at_work:
        who = "clock" if arguments.part == "clock" else f"{arguments.part} worker of this host"
        raise Unavailable(f"no {who} is at work: start it, or see why it ends in what it says on stderr")
    return 0


def _at_work(part: str, redis: "Redis | RedisCluster") -> bool:
    if part == "clock":
        return bool(redis.exists(CLOCK))
    seconds, _ = redis.time()
    here = f"{socket.gethostname()}-".encode()
    names = redis.zrangebyscore(pumps(part), seconds * 1000, "+inf")
    return any(isinstance(name, bytes) and name.startswith(here) for name in names)
