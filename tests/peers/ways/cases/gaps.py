"""Why other gateways cannot do what a case asks: from their manuals or sources, never from a failure alone."""

from __future__ import annotations

CONNECT_ONLY = {"microsocks": "microsocks knows SOCKS5 CONNECT only"}
NO_SOCKS4 = {"microsocks": "microsocks knows SOCKS5 only"}
NO_SOCKS4A = {**NO_SOCKS4, "dante": "Dante takes the 0.0.0.x of SOCKS4A for an address"}
NO_RULES = {"microsocks": "microsocks has no rules: whoever reaches it may reach everything"}
NOBODY_DIALS_BACK = "the server has no way to the address in PORT, which the proxy leaves as it is"
NO_REWRITING = {"dante": NOBODY_DIALS_BACK, "microsocks": NOBODY_DIALS_BACK, "tinyproxy": NOBODY_DIALS_BACK}
OWN_ADDRESS = "the address is in an allowed network; that it is the gateway's own, only a rule would say"
KNOWS_NOT_ITSELF = {"dante": OWN_ADDRESS, "tinyproxy": OWN_ADDRESS}
HANGS_UP = {"dante": "Dante hangs up without an answer"}
SAYS_ONE = {"microsocks": "microsocks says 1 for a name that it cannot resolve"}
SAYS_401 = {"tinyproxy": "tinyproxy answers a wrong password with 401"}
NO_FTP = {"haproxy": "HAProxy carries no data connection of FTP"}
