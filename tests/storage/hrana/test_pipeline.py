"""What is sent for a unit of work, and that no answer whatever does more than raise a storage error."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echolia.storage.engine import (
    ConstraintViolated,
    DatabaseBusy,
    DatabaseDamaged,
    DatabaseMissing,
    OutcomeUnknown,
    PlaceFull,
    Result,
    Statement,
    StorageError,
    Value,
)
from echolia.storage.hrana.faults import statement_error, status_error
from echolia.storage.hrana.pipeline import Answer, probed, request
from echolia.storage.hrana.values import from_json, to_json

TWO = [Statement("INSERT INTO t VALUES (?)", (1,)), Statement("SELECT 1")]
NOTHING = {"rows": [], "affected_row_count": 0}
ONE = {"rows": [[{"type": "integer", "value": "1"}]], "affected_row_count": 0}


def said(results: list[Any], errors: list[Any] | None = None) -> bytes:
    """An answer with these steps."""
    result = {
        "step_results": results,
        "step_errors": errors or [None] * len(results),
        "replication_index": "7",
    }
    answered = {"type": "ok", "response": {"type": "batch", "result": result}}
    return json.dumps({"results": [answered, {"type": "ok", "response": {"type": "close"}}]}).encode()


def steps(statements: list[Statement], tx: bool) -> list[str]:
    """The SQL of what is sent, in order."""
    pipeline = json.loads(request(statements, tx))
    assert pipeline["requests"][-1] == {"type": "close"}
    assert pipeline["baton"] is None
    return [step["stmt"]["sql"] for step in pipeline["requests"][0]["batch"]["steps"]]


def test_a_unit_of_work_is_one_transaction() -> None:
    assert steps(TWO, True) == ["BEGIN IMMEDIATE", TWO[0].sql, TWO[1].sql, "COMMIT", "ROLLBACK"]


@pytest.mark.parametrize(("statements", "tx"), [(TWO[:1], True), (TWO[:1], False)])
def test_a_single_statement_needs_none(statements: list[Statement], tx: bool) -> None:
    assert steps(statements, tx) == [TWO[0].sql, "ROLLBACK"]


def test_each_step_wants_the_former_and_the_transaction() -> None:
    sent = json.loads(request(TWO, True))["requests"][0]["batch"]["steps"]
    inside = {"type": "not", "cond": {"type": "is_autocommit"}}
    for at, step in enumerate(sent[1:4]):
        assert step["condition"] == {"type": "and", "conds": [{"type": "ok", "step": at}, inside]}
    assert sent[4]["condition"] == inside


def test_an_answer_gives_each_statement_its_result() -> None:
    answer = Answer(said([NOTHING, {**NOTHING, "affected_row_count": 1}, ONE, NOTHING, None]), TWO, True)
    assert answer.results() == [Result([], 1), Result([(1,)], 0)]
    assert answer.replication_index == "7"


def test_a_transaction_that_a_statement_ended_is_no_success() -> None:
    with pytest.raises(StorageError, match="TRANSACTION_ENDED"):
        Answer(said([NOTHING, NOTHING, NOTHING, None, None]), TWO, True).results()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("SQLITE_CONSTRAINT", ConstraintViolated),
        ("SQLITE_CONSTRAINT_UNIQUE", ConstraintViolated),
        ("SQLITE_MISMATCH", ConstraintViolated),
        ("SQLITE_BUSY", DatabaseBusy),
        ("SQLITE_BUSY_SNAPSHOT", DatabaseBusy),
        ("TRANSACTION_TIMEOUT", DatabaseBusy),
        ("SQLITE_FULL", PlaceFull),
        ("SQLITE_IOERR_WRITE", PlaceFull),
        ("SQLITE_CORRUPT", DatabaseDamaged),
        ("SQLITE_NOTADB", DatabaseDamaged),
        ("RESPONSE_TOO_LARGE", StorageError),
    ],
)
def test_a_code_becomes_the_storages_own(code: str, kind: type[StorageError]) -> None:
    error = {"code": code, "message": "near kanariya: syntax error"}
    with pytest.raises(kind) as caught:
        Answer(said([NOTHING, None, None, None, None], [None, error, None, None, None]), TWO, True).results()
    assert type(caught.value) is kind
    assert caught.value.detail == code
    with pytest.raises(kind):
        probed(said([None, None], [error, None]))


@pytest.mark.parametrize("code", ["SQLITE_UNKNOWN", "SQL_INPUT_ERROR"])
def test_a_plain_error_has_sqlites_own_name(code: str) -> None:
    assert statement_error(code).detail == "SQLITE_ERROR"


def test_a_blocked_database_has_a_code_of_its_own() -> None:
    assert statement_error("BLOCKED").code == "database_blocked"


@pytest.mark.parametrize("code", [None, 5, "", "no such table: kanariya", "A" * 100, "KANARIYA\n"])
def test_what_is_no_code_is_not_repeated(code: object) -> None:
    assert statement_error(code).detail == "UNNAMED"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((400, StorageError), (401, StorageError), (403, StorageError), (404, DatabaseMissing)),
        *((429, DatabaseBusy), (500, OutcomeUnknown), (502, OutcomeUnknown), (503, OutcomeUnknown)),
    ],
)
def test_a_status_becomes_the_storages_own(status: int, kind: type[StorageError]) -> None:
    assert type(status_error(status)) is kind


VALUES = (
    st.none()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary()
)


@given(VALUES)
def test_a_value_is_said_in_json_and_back(value: Value) -> None:
    back = from_json(json.loads(json.dumps(to_json(value))))
    assert type(back) is type(value)
    assert repr(back) == repr(value)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        *((2**63, "INTEGER_TOO_BIG"), (-(2**63) - 1, "INTEGER_TOO_BIG")),
        *((float("nan"), "FLOAT_NOT_FINITE"), (float("-inf"), "FLOAT_NOT_FINITE")),
        ("\ud800", "TEXT_NOT_UNICODE"),
    ],
)
def test_a_value_that_cannot_be_said_is_not_sent(value: Value, said: str) -> None:
    with pytest.raises(StorageError) as caught:
        request([Statement("SELECT ?", (value,))], tx=False)
    assert str(caught.value) == f"storage_failed: {said}"
    assert caught.value.__context__ is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("ok"),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    *(
                        "results",
                        "type",
                        "response",
                        "result",
                        "step_results",
                        "step_errors",
                        "error",
                        "code",
                    ),
                    *("rows", "affected_row_count", "value", "base64"),
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_no_result_does_more_than_raise(result: Any) -> None:
    answered = [{"type": "ok", "response": {"type": "batch", "result": result}}]
    with pytest.raises(StorageError):
        Answer(json.dumps({"results": answered}).encode(), TWO, True).results()


@given(st.binary(max_size=40) | JSON.map(lambda value: json.dumps(value).encode()))
def test_no_answer_does_more_than_raise(body: bytes) -> None:
    with pytest.raises(StorageError):
        Answer(body, TWO, True).results()


@given(st.lists(JSON, min_size=5, max_size=5))
def test_no_step_does_more_than_raise(results: list[Any]) -> None:
    answer = Answer(said(results), TWO, True)
    try:
        answer.results()
    except StorageError as error:
        caught: StorageError | None = error
    else:
        caught = None
    assert caught is None or caught.__context__ is None


@pytest.mark.parametrize(
    "value",
    [
        *({"type": "integer", "value": 5}, {"type": "integer", "value": "9" * 5000}),
        *({"type": "integer", "value": "x"}, {"type": "blob", "base64": "é"}, {"type": "blob"}),
        *({"type": "text", "value": 5}, {"type": "other"}, {"type": "float", "value": "1"}, {}),
        {"type": "float", "value": None},
    ],
)
def test_a_value_that_is_none_raises(value: object) -> None:
    wrong = {"rows": [[value]], "affected_row_count": 0}
    with pytest.raises(OutcomeUnknown):
        Answer(said([NOTHING, NOTHING, wrong, NOTHING, None]), TWO, True).results()
