"""Echolia: a private sync backend, whose server stores what only its users can read."""

__version__ = "0.1.0"
