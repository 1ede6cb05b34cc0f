"""A responder that says whether certificates of an authority are revoked (RFC 6960), rightly or not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, Hash, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp

from echolia.fake_stores.authority import Authority, Certified
from echolia.fake_stores.loopback import HANG_UP, Answered, Asked, LoopbackServer

# What it says of every certificate: `stale` is an answer of a month ago, `down` none at all.
Mood = Literal["good", "revoked", "unknown", "stale", "down", "failing"]
_TYPE: Final = "application/ocsp-response"


class OcspResponder:
    """Answers for `authority`, which is set after it has an address: certificates name the address."""

    def __init__(self) -> None:
        self.mood: Mood = "good"
        self.authority: Authority | None = None
        self.server = LoopbackServer(self._answer)

    def _answer(self, asked: Asked) -> Answered:
        if self.mood == "down" or self.authority is None:
            return HANG_UP
        if self.mood == "failing":
            return Answered(503)
        request = ocsp.load_der_ocsp_request(asked.body)
        return Answered(200, _response(request, self.authority, self.mood), _TYPE)


def _response(request: ocsp.OCSPRequest, authority: Authority, mood: Mood) -> bytes:
    issuer = next(one for one in authority.issuers() if _key_hash(one, request) == request.issuer_key_hash)
    now = datetime.now(UTC) - (timedelta(days=30) if mood == "stale" else timedelta())
    status = {"revoked": ocsp.OCSPCertStatus.REVOKED, "unknown": ocsp.OCSPCertStatus.UNKNOWN}
    revoked = mood == "revoked"
    builder = ocsp.OCSPResponseBuilder().add_response_by_hash(
        issuer_name_hash=request.issuer_name_hash,
        issuer_key_hash=request.issuer_key_hash,
        serial_number=request.serial_number,
        algorithm=SHA256(),
        cert_status=status.get(mood, ocsp.OCSPCertStatus.GOOD),
        this_update=now - timedelta(minutes=1),
        next_update=now + timedelta(hours=12),
        revocation_time=now - timedelta(days=1) if revoked else None,
        revocation_reason=x509.ReasonFlags.key_compromise if revoked else None,
    )
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, issuer.certificate)
    return builder.sign(issuer.key, SHA256()).public_bytes(Encoding.DER)


def _key_hash(issuer: Certified, request: ocsp.OCSPRequest) -> bytes:
    kinds: dict[str, Callable[[], HashAlgorithm]] = {"sha1": SHA1, "sha256": SHA256}
    digest = Hash(kinds[request.hash_algorithm.name]())
    digest.update(issuer.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))
    return digest.finalize()
