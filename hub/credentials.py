"""
What the hub shows to an endpoint to be known by: secrets to sign with, a way to an access token, a client certificate.
"""

from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from subscriptions.signing import Secret

#: Certificates in a chain, at most.
LONGEST_CHAIN = 10


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """
    How an access token is fetched: https://www.rfc-editor.org/rfc/rfc6749#section-4.4

    scope: Empty for none.
    in_body: Id and secret are sent in the form, for servers that don't take them by HTTP Basic.
    """

    token_url: str
    client_id: str
    client_secret: str = field(repr=False)
    scope: str = ""
    in_body: bool = False


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A certificate with its chain, and its private key, both PEM."""

    chain: str = field(repr=False)
    key: str = field(repr=False)

    @classmethod
    def read(cls, chain: str, key: str, *, now: datetime) -> "ClientCertificate":
        """Check what a client gives. Raises ValueError, whose text says what is wrong and shows nothing of the key."""
        try:
            certificates = x509.load_pem_x509_certificates(chain.encode())
        except ValueError:
            raise ValueError("The certificate is not PEM.") from None
        if len(certificates) > LONGEST_CHAIN:
            raise ValueError(f"The chain has more than {LONGEST_CHAIN} certificates.")
        try:
            private = load_pem_private_key(key.encode(), None)
        except TypeError:
            raise ValueError("The private key is encrypted: send it without a password.") from None
        except Exception:  # cryptography has several for keys of kinds that it doesn't know
            raise ValueError("The private key is not PEM, or of a kind that is not supported.") from None
        spki = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if private.public_key().public_bytes(*spki) != certificates[0].public_key().public_bytes(*spki):
            raise ValueError("The private key is not that of the first certificate.")
        if not certificates[0].not_valid_before_utc <= now <= certificates[0].not_valid_after_utc:
            raise ValueError("The certificate is not valid at this time.")
        return cls(chain, key)

    @property
    def first(self) -> x509.Certificate:
        return x509.load_pem_x509_certificates(self.chain.encode())[0]

    @property
    def fingerprint(self) -> str:
        """SHA-256, in hexadecimal."""
        return self.first.fingerprint(hashes.SHA256()).hex()

    def encrypted_key(self, password: bytes) -> bytes:
        """The private key in PEM that is of use only to whoever has the password."""
        private = load_pem_private_key(self.key.encode(), None)
        return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password))


@dataclass(frozen=True, slots=True)
class Credentials:
    """
    All that one endpoint is shown.

    signing: The newest first. Without any that is in force nothing is signed.
    hub_key: Signs beside them.
    """

    signing: tuple[Secret, ...] = ()
    hub_key: Ed25519PrivateKey | None = field(default=None, repr=False)
    oauth: ClientCredentials | None = None
    certificate: ClientCertificate | None = None


#: Of whoever was given none.
NO_CREDENTIALS = Credentials()
