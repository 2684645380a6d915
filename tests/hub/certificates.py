"""Authorities and certificates, made on the spot."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Issued:
    """A certificate and its private key, in PEM."""

    certificate: str
    key: str

    def written(self, folder: Path) -> Path:
        file = folder / "issued.pem"
        file.write_text(self.key + self.certificate)
        return file


class Authority:
    """Vouches for certificates."""

    def __init__(self, name: str = "Authority of a test") -> None:
        self._key = generate_private_key(SECP256R1())
        self._name = _named(name)
        self._certificate = self._built(self._name, self._key, x509.BasicConstraints(ca=True, path_length=None))
        self.certificate = _pem(self._certificate)

    def issue(self, *hosts: str, days: int = 30, name: str = "client") -> Issued:
        """For these hosts and addresses; with negative days it has expired."""
        key = generate_private_key(SECP256R1())
        names = [x509.DNSName(h) if h[0].isalpha() else x509.IPAddress(ip_address(h)) for h in hosts]
        extensions = [x509.SubjectAlternativeName(names)] if names else []
        made = self._built(_named(name), key, x509.BasicConstraints(ca=False, path_length=None), *extensions, days=days)
        return Issued(_pem(made), key_pem(key))

    def server_context(self, folder: Path, issued: Issued) -> ssl.SSLContext:
        """Of a server with this certificate."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(issued.written(folder))
        return context

    def written(self, folder: Path) -> Path:
        file = folder / "authority.pem"
        file.write_text(self.certificate)
        return file

    def _built(
        self,
        subject: x509.Name,
        key: EllipticCurvePrivateKey,
        constraints: x509.BasicConstraints,
        *extensions: x509.ExtensionType,
        days: int = 30,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder(
            issuer_name=self._name,
            subject_name=subject,
            public_key=key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=now - timedelta(days=60),
            not_valid_after=now + timedelta(days=days),
        ).add_extension(constraints, critical=True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = builder.add_extension(issuer, critical=False)
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(self._key, hashes.SHA256())


def key_pem(key: EllipticCurvePrivateKey, password: bytes = b"") -> str:
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode()


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()
