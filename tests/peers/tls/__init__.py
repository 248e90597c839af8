"""The peer lab with TLS: the same servers and clients, certificates of a lab authority, the wire as witness."""
