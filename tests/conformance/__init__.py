"""The conformance suite: one set of cases about what must hold in every host, and the hosts that it runs against."""
