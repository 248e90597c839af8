"""The TFTP lab: real servers and clients with the gateway between them, one file an idea. See tests/peers/README.md."""
