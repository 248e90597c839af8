"""Clients that are scripts of ours: what speaks to the proxy in them is a library of others."""
