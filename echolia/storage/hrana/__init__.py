"""Databases on a server that speaks Hrana: sqld, Turso."""
