"""Vectors of what is written here: made on the device or by the server, kept sealed, searched without it."""
