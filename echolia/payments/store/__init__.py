"""The directory's tables of purchases: facts, whose they are, notifications, transfers, what is entitled."""
