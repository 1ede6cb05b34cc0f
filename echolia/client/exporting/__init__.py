"""Exporting an account into a file, and taking such a file in (`spec/export.md`)."""
