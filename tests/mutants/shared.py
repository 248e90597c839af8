"""The seeded faults of listeners that sessions share, in all hosts."""

from __future__ import annotations

from tests.mutants.table import SESSION, Mutant

SHARED, RELAY_SHARED = "alg/core/shared.py", "alg/relay/shared.py"
SETTINGS, TLS_SETTINGS, TESTING = "alg/mitm/settings.py", "alg/relay/tls_settings.py", "alg/testing.py"

LEASES, LISTENERS, MITM = "tests/core/test_shared.py", "tests/relay/test_shared.py", "tests/mitm/test_unread.py"

WHO, HOW_LONG, HOW_MANY, WHERE = "T16", "T18", "T83", "T01"


SHARED_MUTANTS = (
    # The core.
    Mutant(
        "shared: told is told for ever",
        HOW_LONG,
        SHARED,
        "        if now >= until:\n",
        "        if False:\n",
        (LEASES,),
    ),
    Mutant(
        "shared: whoever comes",
        WHO,
        SHARED,
        "        if until is None:\n",
        "        if until is None:\n            until = now + 1\n        if False:\n",
        (LEASES,),
    ),
    Mutant("shared: use does not renew", HOW_LONG, SHARED, "        self.tell(peer, now)\n", "", (LEASES,)),
    Mutant(
        "shared: sources do not count",
        WHO,
        SHARED,
        "accept.sources or (leg.peer.address,)",
        "(leg.peer.address,)",
        (LEASES,),
    ),
    Mutant(
        "shared: only who asks first may come",
        WHO,
        SHARED,
        "        if lease is None:\n            self._make_room",
        "        if lease is not None:\n            assert lease.endpoint\n            return lease.endpoint\n"
        "        if lease is None:\n            self._make_room",
        (LEASES,),
    ),
    Mutant("shared: no limit of listeners", HOW_MANY, SHARED, "len(self._leases) >= self._limit", "False", (LEASES,)),
    Mutant(
        "shared: no limit of clients",
        HOW_MANY,
        SHARED,
        "            if len(self._until) >= CLIENTS:\n",
        "            if False:\n",
        (LEASES,),
    ),
    Mutant(
        "shared: one for all targets",
        WHERE,
        SHARED,
        "SharedKey(leg.local.address, connect, accept.tls,",
        "SharedKey(leg.local.address, Connect(connect.target), accept.tls,",
        (LEASES,),
    ),
    Mutant(
        "shared: a closed one is remembered",
        HOW_LONG,
        SHARED,
        "            del self._by_endpoint[lease.endpoint]\n",
        "            pass\n",
        (LEASES,),
    ),
    Mutant(
        "shared: targets are not judged",
        WHERE,
        SESSION,
        "            if not isinstance(plan, Connect):\n",
        "            if not isinstance(plan, Connect) or expectation.shared:\n",
        (LEASES,),
    ),
    Mutant(
        "shared: there are some in every host",
        HOW_MANY,
        SESSION,
        "            if self.shared is None:\n",
        "            if False:\n",
        (LEASES,),
    ),
    Mutant(
        "shared listeners: one is closed with another",
        "T86",
        SHARED,
        "if lease.endpoint is not None and self._by_endpoint.get(lease.endpoint) is lease:",
        "if lease.endpoint is not None:",
        ("tests/core/test_shared.py", "-k", "advertised_as_one"),
    ),
    Mutant(
        "http: one client takes all shared leases",
        "T17",
        SHARED,
        "if told >= max(OF_A_CLIENT, self._limit // 4):",
        "if False:",
        ("tests/core/test_shared.py", "-k", "leaves_some"),
    ),
    # The playbook.
    Mutant(
        "playbook: shared listeners stay",
        HOW_LONG,
        TESTING,
        "        self.shared.expire(self.now)\n",
        "",
        ("tests/test_conversation_time.py",),
    ),
    # The relay.
    Mutant(
        "relay: strangers come through what is shared",
        WHO,
        RELAY_SHARED,
        "            sockets.reset(sock)\n",
        "            self.shared.accepted(self, sock, peer)\n",
        (LISTENERS, "-k", "same_port"),
    ),
    Mutant(
        "relay: what is shared never expires",
        HOW_LONG,
        RELAY_SHARED,
        "        if left > 0:\n            self._deadline.set(left)\n            return\n",
        "        if True:\n            self._deadline.set(left)\n            return\n",
        (LISTENERS, "-k", "expires"),
    ),
    Mutant(
        "relay: what is shared expires in use",
        HOW_LONG,
        RELAY_SHARED,
        "        if left > 0:\n            self._deadline.set(left)\n            return\n",
        "",
        (LISTENERS, "-k", "keeps_it_open"),
    ),
    Mutant(
        "relay: what is shared outlives the relay",
        "T19",
        RELAY_SHARED,
        "            listener.close()\n",
        "            pass\n",
        (LISTENERS, "-k", "closes_with"),
    ),
    Mutant(
        "relay: listeners are opened while it drains",
        "T19",
        RELAY_SHARED,
        "        self._closed = True\n",
        "",
        (LISTENERS, "-k", "closes_with"),
    ),
    Mutant(
        "relay: every target speaks for loopback",
        "T03",
        RELAY_SHARED,
        "server = replace(shared.targets[Side.SERVER], loopback=on_loopback)",
        "server = shared.targets[Side.SERVER]",
        (LISTENERS, "-k", "loopback"),
    ),
    Mutant(
        "relay: the plugin of the route, always",
        WHERE,
        RELAY_SHARED,
        "if key.plugin is not None and key.plugin != route.plugin.name:",
        "if False:",
        (LISTENERS, "-k", "another_plugin"),
    ),
    Mutant(
        "relay: the operator's name for every target",
        "T23",
        TLS_SETTINGS,
        "if upstream is not None and host != upstream.host and name_of(host) is not None:",
        "if False:",
        (LISTENERS, "-k", "tls or name"),
    ),
    # mitmproxy.
    Mutant(
        "mitm: who needs sharing stops it from starting",
        "F27",
        SETTINGS,
        "(not is_for_http(plugin) and _needs_sharing(plugin)):",
        "False:",
        (MITM, "-k", "nobody_asked"),
    ),
    Mutant(
        "mitm: one listener's end is that of two",
        "T86",
        "alg/mitm/shared.py",
        "self._used.get(id(mode))",
        "next((each for each in self._used.values() if each.mode == mode), None)",
        ("tests/mitm/test_web.py", "-k", "two_listeners_to_one_target"),
    ),
)
