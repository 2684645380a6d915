"""
One request for each piece, and what becomes of it: published, refused, or once more when the hub can't take it now.

Nothing is doubled by sending it once more. A POST has an `Idempotency-Key`: for a file the same in each run, for stdin
another one in each unless there is a journal. A PUT of which nobody knows whether it came is not repeated if the hub
has since then got what it says: another version would be another change, and told as one.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from secrets import token_hex
from typing import Any

import httpx
import msgspec

from hub.cli.publishing.journal import Journal
from hub.cli.publishing.pieces import Piece
from hub.cli.publishing.sources import STDIN_PLACE
from hub.cli.remote import FHIR_JSON, Remote, good, reason
from hub.errors import Unavailable

#: Answers that say: later. All others from 400 to 499 refuse it.
LATER = (408, 429)

#: Seconds between two tries of a hub that doesn't say when: the first, and the longest.
SOON, LATEST = 0.2, 5.0


@dataclass(frozen=True, slots=True)
class Result:
    """
    What became of a piece that was dealt with.

    status: Of the answer; 0 when nothing was sent.
    refusal: Why the hub doesn't have it; empty when it does.
    """

    status: int
    refusal: str = ""


#: It was published before.
ALREADY = Result(0)


class Sender:
    """
    Of one run. When the hub says that it can't now, all wait.

    base: The FHIR base, behind the hub's URL.
    patience: Seconds without any success after which it is given up.
    """

    def __init__(self, hub: Remote, base: str, journal: Journal, patience: float) -> None:
        self._hub = hub
        self._base = base
        self._journal = journal
        self._patience = patience
        self._until = 0.0  # monotonic: nothing is sent before
        self._since: float | None = None  # monotonic: the first failure since the last success
        self._tries = 0
        self._hubs_time = 0
        self._began = time.monotonic()
        self._run = token_hex(8)

    async def check(self) -> None:
        """Raise Denied or Unavailable if there is no hub that would listen."""
        answer = good(await self._hub.request("GET", f"{self._base}/metadata", params={"_summary": "true"}))
        if (_resource(answer.content) or {}).get("resourceType") != "CapabilityStatement":
            raise Unavailable(f"{self._hub.url} answers as no FHIR server does: is it a hub?")
        self._heard(answer)

    async def publish(self, piece: Piece) -> Result:
        """
        Have the hub take a piece, or refuse it.

        Raises:
            Unavailable: It could do neither for too long.
            Denied: It doesn't know who we are.
        """
        id_ = piece.id
        if id_ in self._journal.done:
            return ALREADY
        if piece.fault:
            return Result(0, piece.fault)
        unsure = self._journal.begun.get(id_)
        while True:
            await self._let_be()
            try:
                if unsure is not None and await self._came(piece, unsure):
                    self._journal.finish(id_)
                    return ALREADY
                self._journal.begin(id_, self._hubs_time)
                answer = self._answered(await self._send(piece))
            except Unavailable as failed:
                if not isinstance(failed.__cause__, httpx.ConnectError):
                    unsure = self._journal.begun.get(id_, unsure or self._hubs_time)
                self._wait(failed)
                continue
            if answer.is_success:
                self._journal.finish(id_)
                return ALREADY if self._repeated(answer) else Result(answer.status_code)
            self._journal.refuse(id_)
            return Result(answer.status_code, reason(answer))

    async def _send(self, piece: Piece) -> httpx.Response:
        headers = piece.headers | {"Prefer": "return=minimal"}
        if piece.body:
            headers["Content-Type"] = FHIR_JSON
        if piece.method == "POST" and "If-None-Exist" not in headers:
            new = piece.place.startswith(STDIN_PLACE) and not self._journal.kept
            headers["Idempotency-Key"] = piece.idempotency(self._base + self._run if new else self._base)
        path = f"{self._base}/{piece.path}".rstrip("/")
        return await self._hub.request(piece.method, path, content=piece.body, headers=headers)

    def _answered(self, answer: httpx.Response) -> httpx.Response:
        """An answer that accepts or refuses. Raises Unavailable for: later, and Denied for whoever has no key."""
        self._heard(answer)
        if answer.status_code == 401:
            good(answer)
        if answer.status_code in LATER or answer.status_code >= 500 or 300 <= answer.status_code < 400:
            said = answer.headers.get("Retry-After", "")
            # 0: it doesn't say.
            raise Unavailable(
                f"{answer.status_code}: {reason(answer)}", retry_after=int(said) if said.isdecimal() else 0
            )
        self._since, self._tries = None, 0
        return answer

    def _repeated(self, answer: httpx.Response) -> bool:
        """Whether it is the answer to an earlier run, repeated: what is made now is no older than this run."""
        said, made = answer.headers.get("Date"), answer.headers.get("Last-Modified")
        if answer.status_code != 201 or not said or not made:
            return False
        age = (parsedate_to_datetime(said) - parsedate_to_datetime(made)).total_seconds()
        return age > time.monotonic() - self._began + 1  # both are in whole seconds

    async def _came(self, piece: Piece, since: int) -> bool:
        """Whether the hub has got what a PUT says, since a time of its own."""
        if piece.method != "PUT":
            return False
        answer = await self._hub.request("GET", f"{self._base}/{piece.path}")
        if answer.status_code in (401, *LATER) or answer.status_code >= 500:
            self._answered(answer)
        return answer.is_success and _same(answer.content, piece.body, since)

    async def _let_be(self) -> None:
        while (wait := self._until - time.monotonic()) > 0:  # noqa: ASYNC110 (it may have been put off meanwhile)
            await asyncio.sleep(wait)

    def _wait(self, failed: Unavailable) -> None:
        """Have all wait; raises the failure when that was too long already."""
        now = time.monotonic()
        self._since = self._since or now
        stated = failed.retry_after if failed.__cause__ is None else 0
        self._tries += 1
        wait = stated or min(LATEST, SOON * 2 ** min(self._tries, 10))
        if now + wait - self._since > self._patience:
            raise failed
        self._until = max(self._until, now + wait)

    def _heard(self, answer: httpx.Response) -> None:
        """Note what time it is for the hub."""
        if date := answer.headers.get("Date"):
            self._hubs_time = max(self._hubs_time, int(parsedate_to_datetime(date).timestamp()))


def _same(found: bytes, wanted: bytes, since: int) -> bool:
    """Whether a resource is what was sent, and not from before that."""
    there, sent = _resource(found), _resource(wanted)
    if there is None or sent is None:
        return False
    updated = datetime.fromisoformat(str(there.get("meta", {}).get("lastUpdated"))).timestamp()
    return int(updated) >= since and _content(there) == _content(sent)


def _resource(body: bytes) -> dict[str, Any] | None:
    """Also that one which a search has found. None for anything else."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if isinstance(found, dict) and found.get("type") == "searchset":
        entries = found.get("entry", [])
        return entries[0]["resource"] if len(entries) == 1 else None
    return found if isinstance(found, dict) else None


def _content(resource: Mapping[str, Any]) -> dict[str, Any]:
    """Without what the hub gives it."""
    meta = {name: value for name, value in resource.get("meta", {}).items() if name not in ("versionId", "lastUpdated")}
    return {name: value for name, value in resource.items() if name not in ("id", "meta")} | (
        {"meta": meta} if meta else {}
    )
