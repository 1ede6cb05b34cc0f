"""Auth's tables in the directory: every change is one unit of work whose conditions are in its SQL."""
