"""Variables of the environment: those that would leak are refused, and none changes what is sent where."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import re
import sys
from pathlib import Path
from typing import Final

import pytest

from echolia.core.errors import EcholiaError
from echolia.llm.providers.choice import Kind
from echolia.llm.providers.environment import LEAKING, refuse_leaking_environment
from tests.llm.providers.asks import KINDS
from tests.llm.providers.scripted import Scripted

# The variables that the SDKs read. A newer SDK that reads a further one fails here until somebody has looked.
HARMLESS: Final = {
    # Where an adapter gives a value of its own, so that the variable is not looked at or not used.
    "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL", "ANTHROPIC_WEBHOOK_SIGNING_KEY",
    "ANTHROPIC_OPEN_TELEMETRY", "ANTHROPIC_OPEN_TELEMETRY_PROPAGATION",
    "ANTHROPIC_OPEN_TELEMETRY_TRACES_MAX_CONTENT_BYTES",
    "OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID",
    "OPENAI_WEBHOOK_SECRET",
    "GOOGLE_API_KEY", "GEMINI_API_KEY", "GOOGLE_GEMINI_BASE_URL", "GOOGLE_VERTEX_BASE_URL",
    "GOOGLE_GENAI_API_VERSION", "GOOGLE_GENAI_USE_ENTERPRISE", "GOOGLE_GENAI_USE_VERTEXAI",
    "GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_LOCATION", "GOOGLE_GENAI_HTTP_CLIENT",
    # How models of data are built; where certificates are, for clients that are not used.
    "DEFER_PYDANTIC_BUILD", "SSL_CERT_FILE", "SSL_CERT_DIR",
    # For parts of the SDKs that no adapter uses: other clouds, other ways of signing in, other services.
    "AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_AD_TOKEN", "OPENAI_API_TYPE",
    "OPENAI_API_VERSION", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_BEARER_TOKEN_BEDROCK",
    "AWS_BEDROCK_BASE_URL", "CLOUD_ML_REGION", "APPDATA", "PYTEST_CURRENT_TEST", "CONTENT_LENGTH",
    "GOOGLE_GENAI_ACCESS_TOKEN", "GOOGLE_GENAI_API_KEY", "GOOGLE_GENAI_DEFAULT_HEADERS",
    "GOOGLE_GENAI_USER_PROJECT", "GOOGLE_API_USE_MTLS_ENDPOINT", "ANTHROPIC_CONFIG_DIR", "ANTHROPIC_PROFILE",
    "ANTHROPIC_ORGANIZATION_ID", "ANTHROPIC_SCOPE", "ANTHROPIC_SERVICE_ACCOUNT_ID", "ANTHROPIC_SESSION_ID",
    "ANTHROPIC_WORKSPACE_ID", "ANTHROPIC_FEDERATION_RULE_ID",
    # Names of the SDK's own tests, and one that is no variable.
    "GOOGLE_GENAI_RUN_GEMINI_ONLY_IN_API_MODE", "GOOGLE_GENAI_RUN_VERTEX_ONLY_IN_API_MODE", "GEMINI_API",
}  # fmt: skip
# Of whole families that no adapter uses.
HARMLESS_FAMILIES: Final = (
    "ANTHROPIC_VERTEX_", "ANTHROPIC_BEDROCK_", "ANTHROPIC_FOUNDRY_", "ANTHROPIC_GOOGLE_CLOUD_",
    "ANTHROPIC_WORK_", "ANTHROPIC_ENVIRONMENT_", "ANTHROPIC_AWS_", "ANTHROPIC_IDENTITY_",
)  # fmt: skip
# What is looked up, and what looks like it could be: some names are constants.
LOOKED_UP: Final = re.compile(r"""(?:environ\.get|environ\[|getenv)\(?\s*["']([A-Z][A-Z0-9_]+)["']""")
NAMES: Final = re.compile(
    r"""["']((?:ANTHROPIC|OPENAI|AZURE_OPENAI|GOOGLE_GENAI|GOOGLE_API|GEMINI|HTTPX2?|OTEL)_[A-Z0-9_]+)["']"""
)


@pytest.mark.parametrize("name", LEAKING)
def test_what_would_leak_is_refused_by_name(name: str) -> None:
    with pytest.raises(EcholiaError) as refused:
        refuse_leaking_environment({"PATH": "/bin", name: "canary"})
    assert refused.value.code == "settings_invalid"
    assert name in refused.value.detail
    assert "canary" not in str(refused.value)


def test_all_others_are_fine() -> None:
    refuse_leaking_environment({"PATH": "/bin", "OPENAI_API_KEY": "x", "OPENAI_LOG": ""})


def test_the_sdks_read_no_variable_that_nobody_has_looked_at() -> None:
    found: set[str] = set()
    for name in ("anthropic", "openai", "google.genai", "httpx2", "httpcore2"):
        spec = importlib.util.find_spec(name)
        assert spec is not None and spec.origin is not None
        for file in Path(spec.origin).parent.rglob("*.py"):
            if "tests" not in file.parts:
                found |= {*LOOKED_UP.findall(file.read_text()), *NAMES.findall(file.read_text())}
    assert len(found) > 50
    unknown = {name for name in found if not name.startswith(HARMLESS_FAMILIES)} - HARMLESS - set(LEAKING)
    assert not unknown


PROGRAM: Final = """
import asyncio, sys
from tests.llm.providers.asks import ask, course, provider
async def main():
    kind, base_url = sys.argv[1:]
    async with provider(kind, base_url) as asked:
        await course(asked, ask(kind))
asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
async def test_no_variable_leads_elsewhere(
    scripted: Scripted, repository: Path, unused_port: int, kind: Kind
) -> None:
    """Keys, addresses, proxies, organisations of the environment: none is taken."""
    trap = f"http://127.0.0.1:{unused_port}"
    names = HARMLESS - {"SSL_CERT_FILE", "SSL_CERT_DIR", "DEFER_PYDANTIC_BUILD", "GOOGLE_GENAI_HTTP_CLIENT"}
    named = {name: trap if "URL" in name or "ENDPOINT" in name else "canary" for name in names}
    proxies = dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"), trap)
    given = {"GOOGLE_GENAI_USE_VERTEXAI": "true", "GOOGLE_GENAI_USE_ENTERPRISE": "true"}
    environment = {**os.environ, **named, **proxies, **given, "PYTHONPATH": str(repository)}
    command = [sys.executable, "-c", PROGRAM, kind, scripted.base_url(kind)]
    process = await asyncio.create_subprocess_exec(*command, env=environment)
    assert await process.wait() == 0
    [got] = scripted.got
    assert "canary" not in repr(got)
    assert "the-key" in repr(got.headers)
