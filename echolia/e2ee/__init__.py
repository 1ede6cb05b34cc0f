"""Secrets: what only devices may import."""
