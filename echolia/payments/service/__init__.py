"""What devices, stores and the server itself ask about purchases."""
