"""Several server processes for the same accounts: who owns which, and how the others hand requests over."""
