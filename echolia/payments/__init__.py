"""Purchases in app stores, and what an account may have for them (`spec/payments.md`)."""
