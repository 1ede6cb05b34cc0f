"""Settings: arguments over environment over defaults, and a wrong one is named without its value."""

from __future__ import annotations

import subprocess
import sys
from ipaddress import ip_network
from pathlib import Path

import pytest
from pydantic import ValidationError

from echolia.core.errors import EcholiaError
from echolia.settings import Settings

SECRET = "s3cr3t"


def from_environment(expression: str, **variables: str) -> str:
    """The expression's value with these variables set."""
    program = f"from echolia.settings import Settings; s = Settings(); print({expression})"
    done = subprocess.run(
        [sys.executable, "-c", program], env=variables, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


def test_without_any_it_listens_on_this_machine_alone() -> None:
    settings = Settings()
    assert (settings.host, settings.port, settings.data) == ("127.0.0.1", 8000, Path("data"))
    assert settings.trusted_proxies == ()


def test_they_come_from_the_environment() -> None:
    variables = {"ECHOLIA_PORT": "9000", "ECHOLIA_TRUSTED_PROXIES": "10.0.0.0/8, ::1", "OTHER": "x"}
    told = from_environment("(s.port, [str(n) for n in s.trusted_proxies])", **variables)
    assert told == "(9000, ['10.0.0.0/8', '::1/128'])"


def test_they_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().port = 5  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", SECRET),
        ("port", 70_000),
        ("trusted_proxies", f"10.0.0.0/8,{SECRET}"),
        ("log_level", SECRET),
        ("push_per_minute", 0),
    ],
)
def test_a_wrong_one_is_named_and_not_repeated(name: str, value: object) -> None:
    with pytest.raises(EcholiaError) as caught:
        Settings(**{name: value})
    assert str(caught.value) == f"settings_invalid: ECHOLIA_{name.upper()}"
    assert caught.value.__cause__ is None


def test_a_name_that_is_no_setting_is_refused() -> None:
    with pytest.raises(EcholiaError) as caught:
        Settings(**{SECRET: 1})
    assert SECRET not in str(caught.value)


def test_every_one_says_what_it_is_for() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_networks_may_be_given_as_such() -> None:
    networks = (ip_network("10.0.0.0/8"),)
    assert Settings(trusted_proxies=networks).trusted_proxies == networks
