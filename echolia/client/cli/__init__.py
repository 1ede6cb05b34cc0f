"""The command line of a device; `echolia/__main__.py` adds what a server's owner needs."""
