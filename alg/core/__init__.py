"""The sans-IO core: values, the flow machine, the session, and the rules. No sockets, clock or randomness in here."""
