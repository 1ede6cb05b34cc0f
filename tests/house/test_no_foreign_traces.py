"""The repository speaks of Echolia only: no machine's paths, no registry's host, no ticket, no secret."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

# Each pattern is written so that it does not match its own text.
TRACES = {
    "somebody's folder": re.compile(r"(?<![\w.])/(?:home|root|opt|work|Users)/\w"),
    "a local index": re.compile(r"file://(?=/)|find-links[ =](?=[./])|extra-index-ur[l] "),
    "a registry's host": re.compile(r"pypi\.org|pythonhosted\.org|registry\.npmjs|deb\.debian|files\.python"),
    "a ticket": re.compile(r"\b(?:issues?|tickets?|closes|fixes) #\d", re.IGNORECASE),
    "a private key": re.compile(r"BEGIN (?:[A-Z]+ )*PRIVATE KEY(?=-)"),
    "unfinished work": re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b(?=:| )"),
}
EXAMPLES = {
    "somebody's folder": "cd /ho" + "me/ada/echolia",
    "a local index": "--find-li" + "nks ./wheels",
    "a registry's host": "https://py" + "pi.org/simple",
    "a ticket": "see iss" + "ue #12",
    "a private key": "-----BEGIN RSA PRIV" + "ATE KEY-----",
    "unfinished work": "# TO" + "DO: later",
}


@pytest.mark.parametrize("trace", TRACES)
def test_the_repository_holds_no_trace_of(trace: str, repository: Path, files: list[Path]) -> None:
    found = []
    for file in files:
        text = file.read_text(encoding="utf-8", errors="replace")
        if match := TRACES[trace].search(text):
            found.append(f"{file.relative_to(repository)}: {match.group()!r}")
    assert not found, "\n".join(found)


@pytest.mark.parametrize("trace", TRACES)
def test_a_trace_would_be_found(trace: str) -> None:
    assert TRACES[trace].search(EXAMPLES[trace])
