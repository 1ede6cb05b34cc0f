"""The demonstration: real devices, a real server, and what a thief of its disk would hold."""
