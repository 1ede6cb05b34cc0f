"""Sync: an account's log of sealed runs, pushed, pulled, followed and acknowledged."""
