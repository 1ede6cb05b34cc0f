"""The envelope of requests that only the answering process can read; devices and server share it."""
