"""Models by way of the server: what is asked is sealed here, and what is answered opened here."""
