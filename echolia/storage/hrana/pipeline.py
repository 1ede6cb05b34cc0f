"""A unit of work as one conditional batch of Hrana 3, and the reading of its answer; no I/O.

    BEGIN IMMEDIATE ─ok─▶ step ─ok─▶ … ─ok─▶ COMMIT        still inside at the end ─▶ ROLLBACK

Each step also asks to be inside the transaction still: a server that took the lock away (after five seconds,
when another wants it) would run what follows on its own, one by one, and half a unit of work would apply.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from echolia.storage.engine import OutcomeUnknown, Result, Statement, StorageError
from echolia.storage.hrana.faults import statement_error
from echolia.storage.hrana.values import Json, from_json, to_json

_INSIDE: Final[Json] = {"type": "not", "cond": {"type": "is_autocommit"}}
_BEGIN: Final[Json] = {"stmt": {"sql": "BEGIN IMMEDIATE", "want_rows": False}}
_ROLLBACK: Final[Json] = {"condition": _INSIDE, "stmt": {"sql": "ROLLBACK", "want_rows": False}}
_CLOSE: Final[Json] = {"type": "close"}

# Waits for whoever holds the lock and does nothing.
PROBE: Final = json.dumps(
    {"baton": None, "requests": [{"type": "batch", "batch": {"steps": [_BEGIN, _ROLLBACK]}}, _CLOSE]}
).encode()


def request(statements: Sequence[Statement], tx: bool, replication_index: str | None = None) -> bytes:
    """The body of the one request; the stream that it opens it closes.

    Raises: StorageError where a parameter cannot be sent.
    """
    steps = _steps(statements, tx)
    batch: Json = {"steps": steps}
    if replication_index is not None:
        batch["replication_index"] = replication_index
    pipeline = {"baton": None, "requests": [{"type": "batch", "batch": batch}, _CLOSE]}
    try:
        return json.dumps(pipeline, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        pass
    raise StorageError("TEXT_NOT_UNICODE")


def _steps(statements: Sequence[Statement], tx: bool) -> list[Json]:
    sent: list[Json] = [
        {"sql": sql, "args": [to_json(value) for value in params]} for sql, params in statements
    ]
    if not _in_transaction(statements, tx):
        steps = [
            {"condition": _ok(at - 1), "stmt": stmt} if at else {"stmt": stmt} for at, stmt in enumerate(sent)
        ]
        return [*steps, _ROLLBACK]
    sent.append({"sql": "COMMIT", "want_rows": False})
    inside = [
        {"condition": {"type": "and", "conds": [_ok(at), _INSIDE]}, "stmt": stmt}
        for at, stmt in enumerate(sent)
    ]
    return [_BEGIN, *inside, _ROLLBACK]


def _in_transaction(statements: Sequence[Statement], tx: bool) -> bool:
    # A single statement is a transaction of its own already.
    return tx and len(statements) > 1


def _ok(step: int) -> Json:
    return {"type": "ok", "step": step}


class Answer:
    """What the server said to a `request` of these statements."""

    def __init__(self, body: bytes, statements: Sequence[Statement], tx: bool) -> None:
        """Raises: `OutcomeUnknown` where it cannot be read."""
        self._inside = _in_transaction(statements, tx)
        self._count = len(statements)
        batch = _batch(body)
        self._results: list[Any] = _listed(batch.get("step_results"))
        self._errors: list[Any] = _listed(batch.get("step_errors"))
        index = batch.get("replication_index")
        self.replication_index: str | None = index if isinstance(index, str) else None

    def results(self) -> list[Result]:
        """One a statement. Raises: what the statement that failed said, `StorageError`."""
        failed = next((error for error in self._errors if error is not None), None)
        if failed is not None:
            raise _said(failed)
        steps = self._count + (3 if self._inside else 1)
        if len(self._results) != steps:
            raise OutcomeUnknown("ANSWER_UNREADABLE")
        if not self._inside and self._results[-1] is not None:
            raise StorageError("transaction left open")
        if self._inside and self._results[-2] is None:
            raise StorageError("TRANSACTION_ENDED")  # a statement of it did that
        first = 1 if self._inside else 0
        return [_result(each) for each in self._results[first : first + self._count]]


def probed(body: bytes) -> None:
    """Read the answer to `PROBE`. Raises: `DatabaseBusy`, `StorageError`."""
    failed = next((error for error in _listed(_batch(body).get("step_errors")) if error is not None), None)
    if failed is not None:
        raise _said(failed)


def _said(error: object) -> StorageError:
    return statement_error(error.get("code") if isinstance(error, dict) else None)


def _batch(body: bytes) -> dict[str, Any]:
    try:
        first = json.loads(body)["results"][0]
        if first["type"] == "error":
            failure: StorageError = statement_error(first["error"]["code"])
        elif isinstance(batch := first["response"]["result"], dict):
            return batch
        else:
            failure = OutcomeUnknown("ANSWER_UNREADABLE")
    except (ValueError, LookupError, TypeError, RecursionError):
        failure = OutcomeUnknown("ANSWER_UNREADABLE")
    raise failure


def _listed(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise OutcomeUnknown("ANSWER_UNREADABLE")
    return value


def _result(step: object) -> Result:
    if not isinstance(step, dict):
        raise OutcomeUnknown("ANSWER_UNREADABLE")
    rows, changed = step.get("rows"), step.get("affected_row_count")
    try:
        if isinstance(rows, list) and isinstance(changed, int):
            return Result([tuple([from_json(value) for value in row]) for row in rows], changed)
    except (AttributeError, TypeError):
        pass
    raise OutcomeUnknown("ANSWER_UNREADABLE")
