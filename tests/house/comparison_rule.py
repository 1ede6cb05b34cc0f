"""The rule that secrets are compared in constant time.

The story: `==` on bytes stops at the first byte that differs, and whoever can ask often enough learns from
the time where that was. So what an outsider must not be able to guess piece by piece (a MAC, a commitment, a
token, typed digits) is compared by `hmac.compare_digest`, and the plain comparison must not be written.

Ids, hashes of the log, chain hashes, public keys and signatures are public: whoever sends them knows them,
and comparing them may take any time. Tokens that a database looks up are looked up by their SHA-256, of which
nobody can choose a prefix without the token. What stands in the source as a constant is no secret either.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final, NamedTuple

# Words of names, between underscores.
SECRET: Final = frozenset(
    {
        "mac", "macs", "hmac", "commitment", "token", "tokens", "ticket", "secret", "secrets", "digits",
        "entropy", "phrase", "passphrase", "password", "subkey", "dh", "seed", "preimage", "authorization",
    }
)  # fmt: skip
# Module and name, and why comparing it plainly tells nobody anything.
ALLOWED: Final = {
    ("echolia/client/session.py", "tokens"): "the device's own tokens, both read from its own home",
}


class Offence(NamedTuple):
    """One plain comparison of a secret: where it stands, and its name."""

    line: int
    name: str


def offences(tree: ast.Module) -> list[Offence]:
    """Every comparison in `tree` with `==`, `!=`, `in` or `not in` of something that is named as a secret."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and any(isinstance(operator, _PLAIN) for operator in node.ops):
            operands = list(_operands([node.left, *node.comparators]))
            if not any(map(_constant, operands)):
                found += [Offence(node.lineno, _name(each)) for each in operands if _is_secret(_name(each))]
    return sorted(found)


_PLAIN: Final = (ast.Eq, ast.NotEq, ast.In, ast.NotIn)
_VIEWS: Final = frozenset({"encode", "decode", "digest", "hexdigest", "hex", "strip", "lower"})


def _operands(operands: list[ast.expr]) -> Iterator[ast.expr]:
    for each in operands:
        yield from each.elts if isinstance(each, ast.Tuple | ast.List | ast.Set) else [each]


def _constant(operand: ast.expr) -> bool:
    return isinstance(operand, ast.Constant) or _name(operand).isupper()


def _is_secret(name: str) -> bool:
    return bool(set(name.lower().split("_")) & SECRET)


def _name(node: ast.expr) -> str:
    """The last name of an expression: `mac` of `agreement.mac()`, `digits` of `self.digits.encode()`."""
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Attribute) and node.func.attr in _VIEWS:
            return _name(node.func.value)
        return _name(node.func)
    if isinstance(node, ast.Subscript):
        return _name(node.value)
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
