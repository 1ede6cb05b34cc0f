"""Providers of models: one port, an adapter for each SDK, and echo, which needs no key."""
