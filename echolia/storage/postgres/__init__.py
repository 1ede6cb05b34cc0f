"""The directory on PostgreSQL, the second engine of the same store code."""
