"""Every error's HTTP status and document: the one place that turns a code into an answer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from echolia.core.errors import CODES, EcholiaError
from echolia.web.context import Refusal

PROBLEM: Final = b"application/problem+json"

STATUS: Final[dict[str, int]] = {
    # request
    "malformed_json": 400,
    "malformed_binary": 400,
    "invalid_request": 400,
    "unsupported_version": 400,
    "unsupported_media_type": 415,
    "not_found": 404,
    "method_not_allowed": 405,
    "body_too_large": 413,
    "body_too_slow": 408,
    "rate_limited": 429,
    "unavailable": 503,
    "internal": 500,
    # auth: 401 says that this token (or the lack of one) is the reason
    "unauthorized": 401,
    "token_expired": 401,
    "token_reused": 401,
    "device_revoked": 401,
    "account_unknown": 401,
    "device_new": 403,
    "device_unknown": 404,
    "account_exists": 409,
    "signature_invalid": 403,
    "challenge_invalid": 403,
    "proof_of_work_required": 428,
    "proof_of_work_invalid": 403,
    "device_log_invalid": 400,
    "device_log_conflict": 409,
    "device_last": 409,
    "too_many_devices": 409,
    "mailbox_unknown": 404,
    "mailbox_full": 409,
    "key_box_invalid": 400,
    # sync
    "run_invalid": 400,
    "run_gap": 409,
    "run_skipped": 409,
    "device_fork": 409,
    "seen_unknown": 409,
    "cursor_ahead": 409,
    "must_rebase": 409,
    "checkpoint_invalid": 400,
    "ticket_invalid": 401,
    "listeners_full": 429,
    "quota_exceeded": 507,
    # sealed requests: before they are opened; whatever comes after that is sealed itself
    "sealed_invalid": 400,
    "sealed_key_unknown": 422,
    "sealed_elsewhere": 400,
    "sealed_stale": 400,
    "sealed_replayed": 409,
    # models: in the final chunk of a sealed answer
    "ask_invalid": 400,
    "model_unknown": 404,
    "model_lacks": 400,
    "upstream_unreachable": 502,
    "upstream_timeout": 504,
    "upstream_overloaded": 503,
    "upstream_failed": 502,
    "upstream_refused": 400,
    "upstream_credentials": 502,
    "upstream_truncated": 502,
    "upstream_malformed": 502,
    # embeddings, likewise
    "embedding_too_long": 413,
    "embeddings_busy": 503,
    "embeddings_late": 503,
    # payments
    "receipt_invalid": 400,
    "notification_invalid": 400,
    "store_unknown": 404,
    "store_unavailable": 503,
    "purchase_owned": 409,
    "restore_proof_used": 409,
    "restore_limited": 409,
    # storage
    "storage_constraint": 500,
    "storage_busy": 503,
    "storage_uncertain": 503,
    "storage_missing": 503,
    "storage_full": 507,
    "storage_damaged": 500,
    "storage_failed": 500,
    "storage_elsewhere": 503,
    "storage_exists": 500,
    "database_blocked": 403,
    "database_quarantined": 503,
    "home_unknown": 503,
}
# Seconds, where nobody knows better; RFC 9110 wants the header on 429 and 503, and 507 heals in time as well.
RETRY_AFTER_S: Final = {429: 1, 503: 2, 507: 60}
_CODE_OF_STATUS: Final = {
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    415: "unsupported_media_type",
}


class Problem(NamedTuple):
    """An error as it is answered: status, further headers, JSON body."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def problem(error: EcholiaError, request_id: str) -> Problem:
    """The answer to `error`, an RFC 9457 document with the stable `code`; a device's own codes become
    `internal`.
    """
    code = error.code if error.code in STATUS else "internal"
    status = STATUS[code]
    document: dict[str, Any] = {
        "type": f"urn:echolia:error:{code}",
        "title": CODES[code],
        "status": status,
        "code": code,
        "request_id": request_id,
    }
    if error.detail and status != 500:
        document["detail"] = error.detail
    retry_after_s = RETRY_AFTER_S.get(status)
    if isinstance(error, Refusal):
        document.update(error.members)
        if error.errors:
            document["errors"] = error.errors
        retry_after_s = error.retry_after_s or retry_after_s
    headers = [(b"content-type", PROBLEM)]
    if retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % retry_after_s))
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if code == "body_too_slow":
        # The rest of that body may still be on its way: nothing else can follow on this connection.
        headers.append((b"connection", b"close"))
    return Problem(status, headers, json.dumps(document, ensure_ascii=False).encode())


def error_of_status(status: int) -> EcholiaError:
    """What a framework's bare HTTP status means here; 400 is only ever a body that could not be parsed."""
    if status == 400:
        return EcholiaError("malformed_json")
    return EcholiaError(_CODE_OF_STATUS.get(status, "internal"))


def invalid_request(found: Iterable[Mapping[str, Any]], known_names: frozenset[str]) -> EcholiaError:
    """What pydantic found, told without a value and without a name that the client made up."""
    errors = []
    for one in found:
        if one["type"] == "json_invalid":
            return EcholiaError("malformed_json")
        errors.append({"where": _where(one["loc"], known_names), "what": str(one["type"])})
    return Refusal("invalid_request", errors=errors[:20])


def _where(location: Sequence[object], known_names: frozenset[str]) -> str:
    parts = []
    for part in location:
        if isinstance(part, int) or part in known_names:
            parts.append(str(part))
        else:
            break
    return ".".join(parts) or "request"
