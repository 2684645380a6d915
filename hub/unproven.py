"""Why it isn't proven who calls."""

from enum import StrEnum

from hub.errors import HubError


class Fault(StrEnum):
    """What is wrong with the credentials of a request, as the log has it."""

    MISSING = "missing"
    MALFORMED = "malformed"
    UNKNOWN = "unknown"
    ALGORITHM = "algorithm"
    KEY = "key"
    SIGNATURE = "signature"
    EXPIRED = "expired"
    REVOKED = "revoked"
    EARLY = "early"
    ISSUER = "issuer"
    AUDIENCE = "audience"
    CLAIMS = "claims"
    CLIENT = "client"

    @property
    def text(self) -> str:
        """
        For whoever sent them: never how near they came, and more than that they are no good only to whoever has shown
        that they are theirs.
        """
        match self:
            case Fault.MISSING:
                return "The hub wants to know who calls."
            case Fault.EXPIRED:
                return "The credentials have expired."
            case Fault.REVOKED:
                return "The credentials were revoked."
            case Fault.EARLY:
                return "The credentials are not good yet."
            case Fault.ISSUER:
                return "The token is from another issuer."
            case Fault.AUDIENCE:
                return "The token is for somebody else."
            case Fault.CLAIMS:
                return "The token lacks a claim that it has to have, or one is not as it has to be."
            case Fault.CLIENT:
                return "The hub knows no such client."
            case _:
                return "The credentials are no good."


class Unproven(HubError):
    """What a request carries proves nobody: 401."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.text)
        self.fault = fault
