"""Live: who listens for the head of which account's log (`spec/sync.md#live`)."""
