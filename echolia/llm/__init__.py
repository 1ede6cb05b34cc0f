"""LLM: a sealed proxy to model providers."""
