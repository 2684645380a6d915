"""
What an app embeds that the hub notifies: whose a notification is, what it says, and what is missing before it.

A Receiver verifies each request, reads it, and hands its events to the app: in the order of their numbers, each once,
and none left out that the hub still has. Nothing else of the hub's is needed for that.

    source = Source("https://hub.example/fhir/r4", "hubkey_…")
    receiver = Receiver(handle, FileStore("seen.db"), Verifier("whsec_…"), source)
    receipt = await receiver.receive(body, headers)     # answer with receipt.status
"""

from hub.receiver.errors import Forged, ReceiverError, Unfetched, Unreadable
from hub.receiver.notification import Context, Event, Kind, Missed, Notification
from hub.receiver.reading import read
from hub.receiver.receiving import Receipt, Receiver
from hub.receiver.source import Source
from hub.receiver.store import FileStore, MemoryStore, Place, Store
from hub.receiver.verifying import Verifier

__all__ = [
    "Context",
    "Event",
    "FileStore",
    "Forged",
    "Kind",
    "MemoryStore",
    "Missed",
    "Notification",
    "Place",
    "Receipt",
    "Receiver",
    "ReceiverError",
    "Source",
    "Store",
    "Unfetched",
    "Unreadable",
    "Verifier",
    "read",
]
