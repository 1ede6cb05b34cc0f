"""The comparison rule catches what it was made for, and holds in the whole package."""

from __future__ import annotations

import ast

import pytest

from tests.house.comparison_rule import ALLOWED, offences
from tests.house.conftest import Source

PLAIN = {
    "a MAC": "mac == expected",
    "a method's": "given != agreement.mac()",
    "an attribute": "self._commitment == found[1]",
    "a token's hash": "row.token_hash == sent",
    "typed digits": "typed.encode() == digits.encode()",
    "one of several": "sent in (token, other)",
    "a slice": "secret[:8] == found",
}
HONEST = {
    "constant time": "compare_digest(mac, agreement.mac())",
    "a public hash": "entry_hash(entry) == log.head",
    "whether there is one": "token == '' or token != b'' or secret is None",
    "a length": "len(secret) == 32",
    "a field of a secret's holder": "known.generation == secrets.generation",
}


@pytest.mark.parametrize("code", PLAIN.values(), ids=PLAIN.keys())
def test_a_plain_comparison_is_caught(code: str) -> None:
    assert offences(ast.parse(code))


@pytest.mark.parametrize("code", HONEST.values(), ids=HONEST.keys())
def test_an_honest_comparison_passes(code: str) -> None:
    assert offences(ast.parse(code)) == []


def test_the_package_compares_secrets_in_constant_time(sources: list[Source]) -> None:
    found = {
        (source.path, offence.name)
        for source in sources
        if source.path.startswith("echolia/")
        for offence in offences(source.tree)
    }
    assert found == set(ALLOWED)
