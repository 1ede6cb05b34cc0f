"""Rules that both ends run: pure functions, no I/O, no clock, no dice."""
