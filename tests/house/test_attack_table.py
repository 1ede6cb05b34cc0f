"""The threat model's table of attacks and the shipped attacks are the same, word for word."""

from __future__ import annotations

from pathlib import Path

from echolia.hostile.catalogue import ATTACKS, ROOMS

HEAD = ("| attack: the server … | a device | shown by |", "|---|---|---|")


def table() -> list[str]:
    """The table as the shipped attacks make it."""
    return [
        *HEAD,
        *(
            f"| `{attack.name}` {attack.server} | {attack.device} | `tests/hostile/test_{room}.py` |"
            for room, attacks in ROOMS.items()
            for attack in attacks
        ),
    ]


def written(text: str) -> list[str]:
    """The table as a document has it, from its head on."""
    lines = text.splitlines()
    start = lines.index(HEAD[0]) if HEAD[0] in lines else len(lines)
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append(line)
    return rows


def test_the_threat_model_has_every_attack_and_no_other(repository: Path) -> None:
    assert written((repository / "spec" / "threat-model.md").read_text(encoding="utf-8")) == table()


def test_every_attack_has_a_name_and_a_sentence_of_its_own() -> None:
    assert len(ATTACKS) == sum(map(len, ROOMS.values())) == len({each.server for each in ATTACKS.values()})
    for name, attack in ATTACKS.items():
        assert name == attack.name and not attack.server.endswith(".") and "|" not in attack.device
        assert attack.caught or attack.why, f"{name} says neither what catches it nor why it is harmless"


def test_a_row_that_differs_is_noticed(repository: Path) -> None:
    text = (repository / "spec" / "threat-model.md").read_text(encoding="utf-8")
    assert written(text.replace("`rollback` ", "`rolback` ")) != table()
    assert written("no table") == []
