"""The commands of whoever runs a server; a device needs none of them."""
