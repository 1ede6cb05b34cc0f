"""A certificate authority made as Apple's is, which mints the chains that sign what a store says.

Root, intermediate and leaf have subject and authority key identifiers; intermediate and leaf carry the
extensions by which Apple marks those that may sign (`LEAF_OID`, `INTERMEDIATE_OID`).
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

LEAF_OID: Final = x509.ObjectIdentifier("1.2.840.113635.100.6.11.1")
INTERMEDIATE_OID: Final = x509.ObjectIdentifier("1.2.840.113635.100.6.2.1")
_DER_NULL: Final = b"\x05\x00"
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Certified:
    """A certificate with its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs as a store does: ES256, with its chain (leaf, intermediate, root) in the header."""

    chain: Sequence[x509.Certificate]
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    def sign(self, payload: Mapping[str, Any], headers: Mapping[str, Any] | None = None) -> str:
        """A JWS of `payload`; `headers` add to its header or replace what is there."""
        x5c = [b64encode(one.public_bytes(Encoding.DER)).decode() for one in self.chain]
        return jwt.encode(dict(payload), self.key, algorithm="ES256", headers={"x5c": x5c, **(headers or {})})


class Authority:
    """A root, an intermediate below it, and leaves on demand; `ocsp_url` is put into what it certifies."""

    def __init__(
        self, ocsp_url: str = "", now: datetime | None = None, *, intermediate_oid: bool = True
    ) -> None:
        self._ocsp_url = ocsp_url
        self._now = now or datetime.now(UTC)
        self.root = self._root()
        self.intermediate = self._certified(
            "Intermediate", self.root, INTERMEDIATE_OID if intermediate_oid else None, authority=True
        )

    @property
    def root_der(self) -> bytes:
        """The certificate that a verifier has to trust."""
        return self.root.certificate.public_bytes(Encoding.DER)

    def signer(
        self, *, oid: bool = True, valid_from: datetime | None = None, valid_to: datetime | None = None
    ) -> Signer:
        """A new leaf that signs; without `oid` it is not marked as one that may."""
        leaf = self._certified(
            "Leaf", self.intermediate, LEAF_OID if oid else None, valid_from=valid_from, valid_to=valid_to
        )
        return Signer(
            (leaf.certificate, self.intermediate.certificate, self.root.certificate), leaf.key
        )  # fmt: skip

    def impostor(self) -> Signer:
        """A leaf that names this intermediate as its issuer, and was signed by a key of somebody else."""
        key = ec.generate_private_key(ec.SECP256R1())
        forged = self._certified("Leaf", Certified(self.intermediate.certificate, key), LEAF_OID)
        return Signer(
            (forged.certificate, self.intermediate.certificate, self.root.certificate), forged.key
        )  # fmt: skip

    def issuers(self) -> Sequence[Certified]:
        """Who signs certificates, and so what is said of their being revoked."""
        return (self.root, self.intermediate)

    def _root(self) -> Certified:
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("Root")
        builder = _builder(name, name, key, self._now - 365 * _DAY, self._now + 3650 * _DAY)
        builder = _as_authority(builder, key.public_key())
        return Certified(builder.sign(key, SHA256()), key)

    def _certified(
        self,
        name: str,
        issuer: Certified,
        oid: x509.ObjectIdentifier | None,
        *,
        authority: bool = False,
        valid_from: datetime | None = None,
        valid_to: datetime | None = None,
    ) -> Certified:
        key = ec.generate_private_key(ec.SECP256R1())
        first, last = valid_from or self._now - 30 * _DAY, valid_to or self._now + 365 * _DAY
        builder = _builder(_name(name), issuer.certificate.subject, key, first, last)
        builder = _as_authority(builder, issuer.certificate.public_key(), authority=authority)
        if oid is not None:
            builder = builder.add_extension(x509.UnrecognizedExtension(oid, _DER_NULL), critical=False)
        if self._ocsp_url:
            builder = builder.add_extension(_ocsp(self._ocsp_url), critical=False)
        return Certified(builder.sign(issuer.key, SHA256()), key)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Echolia Fake Stores {common}")])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, first: datetime, last: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(first)
        .not_valid_after(last)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _as_authority(
    builder: x509.CertificateBuilder, issuer: object, *, authority: bool = True
) -> x509.CertificateBuilder:
    assert isinstance(issuer, ec.EllipticCurvePublicKey)
    usage = x509.KeyUsage(
        digital_signature=not authority, key_cert_sign=authority, crl_sign=authority,
        content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip
    return (
        builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer), critical=False)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(usage, critical=True)
    )


def _ocsp(url: str) -> x509.AuthorityInformationAccess:
    place = x509.UniformResourceIdentifier(url)
    return x509.AuthorityInformationAccess(
        [x509.AccessDescription(AuthorityInformationAccessOID.OCSP, place)]
    )
