"""What whoever runs the server does with accounts' databases: list, move, export, restore, check, block."""
