"""LLM: requests to models, sealed from the device to the process that asks for them."""
