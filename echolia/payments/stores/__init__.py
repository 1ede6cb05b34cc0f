"""One adapter for each store, behind one port."""
