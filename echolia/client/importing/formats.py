"""Which reader fits a path."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from echolia.client.importing.day_one import DayOneReader
from echolia.client.importing.markdown import SUFFIXES, MarkdownReader
from echolia.client.importing.notes import Reader
from echolia.client.importing.safe_files import reason_of
from echolia.core.errors import EcholiaError

Format = Literal["auto", "markdown", "day-one"]
_OPENING_BYTES: Final = 64 * 1024


def reader_for(path: Path, wanted: Format = "auto", name: str | None = None) -> Reader:
    """The reader for a file or folder; `name` as in `MarkdownReader`.

    Raises `import_unreadable` if there is nothing there or its kind is not known. A link given here is
    followed: whoever typed it meant it.
    """
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        reason = reason_of(error) if isinstance(error, OSError) else "a link that leads to itself"
        raise EcholiaError("import_unreadable", reason) from None
    if (_recognise(target) if wanted == "auto" else wanted) == "day-one":
        return DayOneReader(target)
    return MarkdownReader(target, name)


def _recognise(path: Path) -> Format:
    suffix = path.suffix.lower()
    if path.is_dir():
        return "day-one" if any(_is_journal(file) for file in path.glob("*.json")) else "markdown"
    if suffix in {".json", ".zip"}:
        return "day-one"
    if suffix in SUFFIXES:
        return "markdown"
    raise EcholiaError("import_unreadable", "neither Markdown, text nor a Day One export")


def _is_journal(path: Path) -> bool:
    """Whether a JSON file opens the way Day One's do; only that much of it is read."""
    if path.is_symlink() or not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            opening = file.read(_OPENING_BYTES)
    except OSError:
        return False
    return b'"entries"' in opening and b'"metadata"' in opening
