"""The transparent lab: clients know nothing of the gateway and speak to the server's own address."""
