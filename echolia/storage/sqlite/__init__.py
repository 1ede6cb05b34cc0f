"""Databases as SQLite files on this machine's disk."""
