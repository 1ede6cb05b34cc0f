"""Apple's published samples: what its own library's tests verify, read out of the package and never run."""

from __future__ import annotations

import ast
import os
import zipfile
from base64 import b64decode
from pathlib import Path
from typing import Final, NamedTuple

import jwt
import pytest

# apple_samples.txt pins it.
_PACKAGE: Final = (
    Path(__file__).resolve().parents[2] / ".services" / "samples" / "app_store_server-0.1.0-py3-none-any.whl"
)
_SIGNED: Final = "tests/test_payload_verification.py"
_CHAINS: Final = "tests/test_x509_verifiction.py"  # as it is called there


class Samples(NamedTuple):
    """Constants by their names: `signed` things, and `certificates` as base64 of DER."""

    signed: dict[str, str]
    certificates: dict[str, str]

    @property
    def roots(self) -> tuple[bytes, ...]:
        """The authority (DER): the certificate that its tests trust, and those that the samples name."""
        texts = {self.signed["ROOT_CA_BASE64_ENCODED"]}
        for signed in self.signed.values():
            if signed.count(".") == 2:
                texts.update(jwt.get_unverified_header(signed).get("x5c", [])[2:])
        return tuple(b64decode(text) for text in sorted(texts))


def apple_samples() -> Samples:
    """All of them; a test that asks is skipped where they are not installed, and fails in CI."""
    if not _PACKAGE.is_file():
        absent = "Apple's samples are not installed; install them by: make services"
        if os.environ.get("ECHOLIA_REQUIRE_SERVICES") == "1":
            pytest.fail(absent)
        pytest.skip(absent)
    with zipfile.ZipFile(_PACKAGE) as package:
        return Samples(_constants(package.read(_SIGNED)), _constants(package.read(_CHAINS)))


def _constants(source: bytes) -> dict[str, str]:
    """The texts that a module gives names to."""
    return {
        target.id: node.value.value
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name) and isinstance(node.value.value, str)
    }
