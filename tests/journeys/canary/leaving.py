"""What a person does who leaves: exports, sealed and plain, and the way into another account."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tests.journeys.canary.flock import SECRET
from tests.journeys.canary.places import Place
from tests.journeys.canary.story import Story


@dataclass
class Left:
    """What leaving left on the disk, and what was typed for it."""

    sealed: list[Path] = field(default_factory=list)
    plain: list[Path] = field(default_factory=list)

    def places(self) -> tuple[list[Place], list[Place]]:
        """The encrypted files and the others, as places to search."""
        return (
            [Place("sealed", path.read_bytes()) for path in self.sealed],
            [Place("plain", path.read_bytes()) for path in self.plain],
        )


def leave(story: Story, server: str) -> Left:
    """Export everything in every way, take it in elsewhere, and fail at each step."""
    folder, other = story.folder, story.folder / "elsewhere"
    phrase, passphrase = story.secrets["phrase"].decode(), story.flock.word("passphrase", SECRET)
    targets = [folder / f"{name}.echolia" for name in ("words", "offline", "locked")]
    assert story.run("export", str(targets[0])).code == 0
    assert story.run("export --offline", str(targets[1])).code == 0
    assert story.run("export --passphrase", str(targets[2]), stdin=f"{passphrase}\n").code == 0
    part = folder / "cut.echolia.part"
    part.write_bytes(targets[0].read_bytes()[:-20_000])
    assert story.run("export --plain", str(folder / "plain"), "--yes").code == 0
    _fail(story, targets, passphrase)
    init = story.run("init --quiet --server", server, home=other)
    assert init.code == 0
    for target, typed in ((targets[0], phrase), (targets[2], passphrase)):
        taken = story.run("import", str(target), home=other, stdin=f"{typed}\n")
        assert taken.code == 0, taken.errors
    for asked in ("archives", "status", "sync"):
        assert story.run(asked, home=other).code == 0
    story.fail("import", str(part), home=other, stdin=phrase)
    archived = list((other / "archives").iterdir())
    assert len(archived) == 2
    plain = [path for path in (folder / "plain").rglob("*") if path.is_file()]
    return Left([*targets, part, *archived], plain)


def _fail(story: Story, targets: list[Path], passphrase: str) -> None:
    """Wrong words, wrong files, and words where none belong."""
    text, taken = story.flock.text, str(targets[0])
    story.fail("export", taken)
    story.fail("export", taken, text("another word"))
    story.fail("export --plain", str(story.folder / "plain"), "--yes")
    story.fail("export --passphrase", str(story.folder / "short"), stdin="short\n")
    story.fail("export --passphrase", str(story.folder / "none"), "--plain", str(story.folder / "too"))
    story.fail("import", taken, stdin=story.secrets["phrase"].decode())  # its own account's
    for wrong in (text("words"), " ".join(text("word") for _ in range(24)), ""):
        story.fail("import", taken, home=story.phone, stdin=wrong)
    story.fail("import", str(targets[2]), home=story.phone, stdin=passphrase[:-1])
    story.fail("import --format export", str(story.folder / "export.zip"), stdin=text("words"))
