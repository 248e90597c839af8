"""The seeded faults of the ways in: who may ask, for what, and who gets what was announced."""

from __future__ import annotations

from tests.mutants.table import SESSION, Mutant, left_out

DOORMAN, RECEPTION, RESOLUTION = "alg/relay/doorman.py", "alg/relay/reception.py", "alg/relay/resolution.py"
INCOMING, CLAIMS, ADDRESSES = (
    "alg/relay/incoming.py",
    "alg/relay/claims.py",
    "alg/core/addresses.py",
)

ASKING, CLAIMED = ("tests/relay/test_asking.py",), ("tests/relay/test_claims.py",)
PUBLIC, LENT = ("tests/core/test_addresses.py",), ("tests/core/test_session.py",)

CHAIN, CHAINED = "alg/relay/chain.py", ("tests/relay/test_chain.py",)
ASSOCIATION, ASSOCIATED = "alg/relay/association.py", ("tests/relay/test_associations.py",)

WAYS_MUTANTS = (
    Mutant("ways: anybody's datagrams", "T42", ASSOCIATION, "if sender != client:", "if False:", ASSOCIATED),
    Mutant(
        *("ways: an association outlives its connection", "T42", ASSOCIATION),
        'self.close(ConnectError("the client\'s connection has ended", reason="client_lost"))',
        "pass",
        ASSOCIATED,
    ),
    Mutant(
        *("ways: an association begins for anybody", "T42", ASSOCIATION),
        "Endpoint(self._visitor.peer.address, sender.port)",
        "sender",
        ASSOCIATED,
    ),
    Mutant(
        "ways: everybody is public",
        "T12",
        RESOLUTION,
        "PUBLIC in names and is_public(address)",
        "PUBLIC in names",
        ASKING,
    ),
    Mutant(
        *("ways: a network allows links", "T12", RESOLUTION),
        "        if is_link_local(address):\n",
        "        if False:\n",
        ASKING,
    ),
    Mutant(
        "ways: a form hides a private address",
        "T04",
        ADDRESSES,
        "for form in forms(address))\n\n\ndef _is_site",
        "for form in (address,))\n\n\ndef _is_site",
        PUBLIC,
    ),
    Mutant("ways: a group is public", "T12", ADDRESSES, "not _is_group(form) and", "True and", PUBLIC),
    Mutant("ways: site-local is public", "T12", ADDRESSES, "and not _is_site_local(form)", "", PUBLIC),
    Mutant(
        "ways: the public needs no password",
        "T12",
        RECEPTION,
        "if users is None and is_public(address)",
        "if False",
        ASKING,
    ),
    Mutant(
        *("ways: anybody sends a header", "T51", DOORMAN),
        "if listener.route.proxy_senders and not within(",
        "if False and not within(",
        ASKING,
    ),
    Mutant("ways: who is silent may stay", "T79", RECEPTION, "self._deadline.set(seconds)\n", "pass\n", ASKING),
    Mutant("ways: a claim is anybody's", "T16", CLAIMS, "if client in each.sources", "if True", CLAIMED),
    Mutant(
        *("ways: whoever comes to a BIND", "T43", INCOMING),
        "            self._lease.admit(Side.SERVER, peer.address, self._owner.services.loop.time())\n",
        "            pass\n",
        CLAIMED,
    ),
    Mutant(
        *("ways: BIND for whom no rule allows", "T43", DOORMAN),
        "if not _names_nobody(wanted.host):",
        "if False:",
        CLAIMED,
    ),
    Mutant(
        "ways: nobody's BIND is everybody's",
        "T43",
        DOORMAN,
        "            and session.peer.address == visitor.peer.address\n",
        "",
        CLAIMED,
    ),
    Mutant(
        *("ways: a listener is announced by anybody", "T14", SESSION),
        "return opens and self._gate.is_lent(target, self._client, self.party, legs[Side.SERVER].peer.address)",
        "return opens and target in self._gate._lent",
        LENT,
    ),
    # Through another proxy.
    Mutant(
        *("ways: what comes behind a proxy's answer is lost", "smuggling", CHAIN),
        "sock.recv(client.receive(seen))",
        "client.receive(sock.recv(HEAD_LIMIT))",
        CHAINED,
    ),
    Mutant(
        "ways: a proxy may take for ever",
        "T79",
        CHAIN,
        "services.connect_timeouts.begin(self._time_out)",
        "services.timeouts(60).begin(self._time_out)",
        CHAINED,
    ),
    left_out("ways: a proxy that hangs up", "F36", CHAIN, "not seen", CHAINED),
    Mutant(
        *("ways: past the proxy to the server", "T12", "alg/relay/reach.py"),
        "if route.via is not None:",
        "if False:",
        CHAINED,
    ),
    Mutant(
        *("ways: datagrams pass another proxy by", "T12", DOORMAN),
        "            if via is not None:\n                raise PolicyError(",
        "            if False:\n                raise PolicyError(",
        ASSOCIATED,
    ),
    Mutant(
        *("ways: announced datagrams pass another proxy by", "T12", "alg/relay/datagram_lease.py"),
        "    if via is not None:",
        "    if False:",
        CHAINED,
    ),
    left_out(
        "ways: a route whose datagrams pass another proxy by",
        "T12",
        "alg/ways.py",
        "route.via is not None and datagrams",
        ("tests/test_config_ways.py",),
    ),
)
