"""What a Dockerfile would run, read from its text: the commands in exec form and the environment."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import NamedTuple


class Image(NamedTuple):
    """The final stage of a Dockerfile: what starts, what asks whether it lives, with which variables."""

    command: list[str]
    health_command: list[str]
    environment: dict[str, str]
    user: str
    instructions: list[tuple[str, str]]


def read_image(dockerfile: Path) -> Image:
    """Parse the final stage; KeyError or ValueError when an instruction is missing or not in exec form."""
    text = re.sub(r"^\s*#.*\n", "", dockerfile.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    lines = [line.split(None, 1) for line in text.splitlines() if line.strip()]
    pairs = [(word.upper(), rest.strip()) for word, rest in lines]
    last_stage = max(number for number, (word, _) in enumerate(pairs) if word == "FROM")
    stage = pairs[last_stage:]
    said = dict(stage)
    environment: dict[str, str] = {}
    for word, rest in stage:
        if word == "ENV":
            environment |= dict(part.split("=", 1) for part in shlex.split(rest))
    health = said["HEALTHCHECK"].split("CMD", 1)[1]
    command = [*json.loads(said["ENTRYPOINT"]), *json.loads(said["CMD"])]
    return Image(command, json.loads(health), environment, said["USER"], pairs)
