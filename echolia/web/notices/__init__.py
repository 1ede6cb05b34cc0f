"""What server processes tell each other about live streams: a port and its four adapters."""
