"""Bringing notes of other programs into an account, as often as one likes."""

from __future__ import annotations

from echolia.client.importing.bring_in import Report, bring_in
from echolia.client.importing.formats import Format, reader_for
from echolia.client.importing.notes import Note, Reader, Skipped

__all__ = ["Format", "Note", "Reader", "Report", "Skipped", "bring_in", "reader_for"]
