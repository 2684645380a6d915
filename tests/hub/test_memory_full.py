"""What is stored goes on its way when Redis takes nothing more: the steps for it begin with a write that can't grow."""

import re
from importlib.resources import files

import pytest

#: Commands that a full Redis takes; once one was done in a script, it takes all others.
TAKEN = {"HDEL", "ZREM", "DEL", "UNLINK", "PEXPIRE", "PERSIST", "ZREMRANGEBYSCORE", "XTRIM", "XDEL"}
READS = {
    "GET",
    "HSTRLEN",
    "HGET",
    "HMGET",
    "HGETALL",
    "TIME",
    "ZSCORE",
    "ZRANGE",
    "ZRANGEBYSCORE",
    "XRANGE",
    "XREVRANGE",
    "XLEN",
}

ON_ITS_WAY = (
    "hold alive advance remember owe mark remind rouse schedule ends claim renew take settle release unsubscribe"
    " retain forget record"
)


@pytest.mark.parametrize("name", ON_ITS_WAY.split())
def test_the_first_write_is_taken(name: str) -> None:
    """In the order of the source; what is included comes when it is called."""
    source = (files("hub") / "lua" / f"{name}.lua").read_text()
    writes = [command for command in re.findall(r"redis\.call\('(\w+)'", source) if command not in READS]
    assert writes[0] in TAKEN
