"""The rule that no request body and no exception text is ever handed to a logger.

The story: a server that cannot read its users' data can still leak it by accident, and the usual accident is
a log line. `log.warning("bad push: %s", error)` looks harmless until a parser's message quotes the bytes it
choked on, a database error carries its parameters, or a 422 echoes its input. The log's last processor drops
what is not allow-listed, but a wall should not be the only wall: the call itself must not be written.

So a log call names its event with a literal and carries only named fields, none of which is a body, an
exception or a rendering of one. `error.code` (a stable code), `type(error).__name__` and `len(body)` pass.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final, NamedTuple

LOG_METHODS: Final = frozenset(
    {"debug", "info", "warning", "warn", "error", "critical", "fatal", "exception", "log", "msg"}
)
LOGGER_NAMES: Final = frozenset({"log", "logger", "logging", "structlog"})
BODY_NAMES: Final = frozenset(
    {
        "body",
        "raw_body",
        "sealed_body",
        "payload",
        "plaintext",
        "ciphertext",
        "request",
        "form",
        "stream",
        "content",
    }
)
EXCEPTION_FIELDS: Final = frozenset({"exc_info", "stack_info", "traceback"})
HARMLESS_CALLS: Final = frozenset({"len", "type", "bool", "isinstance", "id"})
HARMLESS_OF_REQUEST: Final = frozenset({"method", "state"})


class Offence(NamedTuple):
    """One forbidden log call: where it stands and which part of the rule it breaks."""

    line: int
    reason: str


def offences(tree: ast.Module) -> list[Offence]:
    """Every log call in `tree` that could carry a body or an exception's text, in order of lines."""
    return sorted(_visit(tree, frozenset()))


def _visit(node: ast.AST, caught: frozenset[str]) -> Iterator[Offence]:
    if isinstance(node, ast.ExceptHandler) and node.name:
        caught |= {node.name}
    if isinstance(node, ast.Call) and _is_log_call(node.func):
        yield from (Offence(node.lineno, reason) for reason in _faults(node, caught))
    for child in ast.iter_child_nodes(node):
        yield from _visit(child, caught)


def _is_log_call(func: ast.expr) -> bool:
    return isinstance(func, ast.Attribute) and func.attr in LOG_METHODS and _is_logger(func.value)


def _is_logger(node: ast.expr) -> bool:
    if isinstance(node, ast.Call):  # structlog.get_logger().info, log.bind(...).info
        return _is_logger(node.func)
    if isinstance(node, ast.Attribute):
        return node.attr.strip("_").lower() in LOGGER_NAMES or _is_logger(node.value)
    return isinstance(node, ast.Name) and node.id.strip("_").lower() in LOGGER_NAMES


def _faults(call: ast.Call, caught: frozenset[str]) -> Iterator[str]:
    assert isinstance(call.func, ast.Attribute)
    if call.func.attr == "exception":
        yield "log.exception renders the exception's text"
    if call.args and isinstance(call.args[0], ast.JoinedStr | ast.BinOp | ast.Call):
        yield "the event must be a literal, not a composed text"
    for keyword in call.keywords:
        if keyword.arg in EXCEPTION_FIELDS:
            yield f"{keyword.arg} renders the exception's text"
    for value in [*call.args, *(keyword.value for keyword in call.keywords)]:
        yield from _carried(value, caught)


def _carried(node: ast.expr, caught: frozenset[str]) -> Iterator[str]:
    """What the value of one argument would bring along, looked at from the outside in."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in HARMLESS_CALLS:
        return
    if isinstance(node, ast.Name):
        yield from _named(node.id, caught)
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        yield from _attribute(node.value.id, node.attr, caught)
    else:
        for child in ast.iter_child_nodes(node):
            inner = child.value if isinstance(child, ast.keyword) else child
            if isinstance(inner, ast.expr):
                yield from _carried(inner, caught)


def _named(name: str, caught: frozenset[str]) -> Iterator[str]:
    if name in caught:
        yield "an exception's text may quote what a user sent"
    elif name in BODY_NAMES:
        yield f"{name} may hold what a user sent"


def _attribute(owner: str, attribute: str, caught: frozenset[str]) -> Iterator[str]:
    if (owner in caught and attribute == "code") or (owner == "request" and attribute in HARMLESS_OF_REQUEST):
        return
    if attribute in BODY_NAMES:
        yield f"{attribute} may hold what a user sent"
    else:
        yield from _named(owner, caught)
