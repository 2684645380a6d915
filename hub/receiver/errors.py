"""
What can be wrong with a notification, as one tree.

* ReceiverError
  + Forged        it is not signed as the hub signs: nothing of it is believed
  + Unreadable    it is no notification of any FHIR version
  + Unfetched     the hub does not hand out what was missed; it may later
"""


class ReceiverError(Exception):
    """A notification can't be taken. The text says nothing of what is in it."""


class Forged(ReceiverError):
    """It is not signed as the hub signs."""


class Unreadable(ReceiverError):
    """It is no notification of any FHIR version."""


class Unfetched(ReceiverError):
    """The hub does not hand out what was missed."""
