"""Apple's and Google's stores on loopback: servers of one's own that speak the stores' wire formats.

They sign what they say by keys of their own, so a server that is told to believe those keys can live through
a subscription's whole life without an account at any store. Nothing that a server runs imports them.
"""
