"""The seeded faults of what is intercepted: datagrams in the relay, and loops."""

from __future__ import annotations

from tests.mutants.table import Mutant

LISTENER, LOOPS, SESSION = (
    "alg/relay/intercepted_datagrams.py",
    "alg/relay/loops.py",
    "alg/relay/datagram_session.py",
)
LEASE, SESSIONS = "alg/relay/datagram_lease.py", "alg/relay/datagrams.py"
NFT, WAYS, RULES, SETTINGS = "alg/nft.py", "alg/ways.py", "tests/test_nft.py", "tests/test_config_ways.py"
TESTS = "tests/relay/test_intercepted_datagrams.py"
LOOP, RELAY, FLOOD, SQUATTERS = "T15", "T12", "T98", "T56"


def mutant(name: str, row: str, path: str, old: str, new: str, test: str) -> Mutant:
    """One that a test of interception notices."""
    return Mutant(f"interception: {name}", row, path, old, new, (TESTS, "-k", f"{test} and not uvloop"))


INTERCEPTION_MUTANTS = (
    mutant("the listener takes anything", LOOP, LOOPS, "if gate.is_own_socket(target):", "if False:", "for_us"),
    mutant("loops go on", LOOP, LOOPS, "    if ours:\n", "    if False:\n", "loops"),
    mutant("what others here send is a loop", LOOP, LOOPS, "    if ours:\n", "    if True:\n", "loops"),
    mutant("our flows are not known", LOOP, SESSIONS, "(local, target) in self._dialled", "False", "our_own"),
    mutant("any host is one that we speak to", LOOP, SESSIONS, "(local, target) in self._dialled", "True", "our_own"),
    mutant(
        "a client's address hides a loop",
        LOOP,
        LISTENER,
        "ours = sessions.has_dialled(way.peer, target.address)",
        "ours = way.peer.address.is_loopback",
        "comes_back",
    ),
    mutant(
        "an IPv4 address in IPv6 is a target",
        "F36",
        LOOPS,
        "if target.address.version != peer.address.version:",
        "if False:",
        "form_of",
    ),
    mutant(
        "a stand-in hears everybody",
        RELAY,
        NFT,
        "if each.transport is Transport.UDP and plan.interfaces",
        "if False",
        "only_what_comes_in",
    ),
    mutant(
        "no descriptor, no word",
        "F36",
        LISTENER,
        'self._listener.sessions.tallies.tell("datagram_refused", f"{self.target}: {error}", self._listener.name)',
        "pass",
        "no_descriptor",
    ),
    mutant(
        "whoever is refused is led there",
        RELAY,
        LISTENER,
        "on_found=found, on_failed=refused).begin()",
        "on_found=found, on_failed=lambda _: found([target])).begin()",
        "not_allowed",
    ),
    mutant("a flow that made place is forgotten", FLOOD, LISTENER, "listener.keep(self)", "pass", "make_place"),
    mutant(
        "a stand-in ends with its first flow",
        FLOOD,
        LISTENER,
        "        if self._flows:\n",
        "        if False:\n",
        "ends_alone",
    ),
    mutant(
        "a stand-in keeps its descriptor", FLOOD, LISTENER, "            self._sock.close()\n", "", "neither_side_knows"
    ),
    mutant(
        "a stand-in is not counted",
        FLOOD,
        LISTENER,
        "services.budget.take_descriptor()",
        "pass",
        "neither_side_knows",
    ),
    mutant(
        "a failed stand-in stays counted",
        FLOOD,
        LISTENER,
        "        except OSError as error:\n            services.budget.give_descriptor()\n",
        "        except OSError as error:\n",
        "another_program",
    ),
    mutant(
        "new flows begin while it stops",
        "F36",
        LISTENER,
        "if sender not in self._flows and not self._listener.closing:",
        "if sender not in self._flows:",
        "outlive",
    ),
    mutant(
        "flows end with their listener",
        "F36",
        LISTENER,
        "if self.closing and not self._stand_ins and",
        "if self.closing and",
        "outlive",
    ),
    mutant(
        "servers see us",
        "F36",
        SESSION,
        "transparent = Side.SERVER in self.foreign",
        "transparent = False",
        "see_their",
    ),
    mutant(
        "a lease is at our address",
        SQUATTERS,
        LEASE,
        "if self.origin not in owner.foreign:",
        "if True:",
        "announces_stays",
    ),
    mutant(
        "media come from our address",
        SQUATTERS,
        LEASE,
        "transparent = side in self._owner.foreign",
        "transparent = False",
        "client_announces",
    ),
    mutant(
        "a lease is across IP versions",
        SQUATTERS,
        LEASE,
        "if self.target.address.version != local.version:",
        "if False:",
        "ip_versions",
    ),
    Mutant(
        "interception: datagrams are translated",
        "F36",
        NFT,
        "redirects and each.transport is Transport.TCP",
        "redirects",
        (RULES, "-k", "datagrams"),
    ),
    Mutant(
        "interception: a port leads to one listener for both transports",
        "F36",
        NFT,
        "(one.version, one.transport) == (other.version, other.transport)",
        "one.version == other.version",
        (RULES, "-k", "datagrams"),
    ),
    Mutant(
        "interception: a port has one plugin for both transports",
        "F36",
        WAYS,
        "same = plugin.transport is other.plugin.transport",
        "same = True",
        (RULES, "-k", "datagrams"),
    ),
    Mutant(
        "interception: it answers from where it listens",
        "F36",
        WAYS,
        "if listened is not None and route.way is Way.TRANSPARENT:",
        "if False:",
        (RULES, "-k", "refused"),
    ),
    Mutant(
        "interception: what is said of datagrams counts for connections",
        "F36",
        "alg/relay/listener.py",
        "self._treated[rule.ports, rule.plugin.transport] = treated, tls, shared",
        "self._treated[rule.ports, Transport.TCP] = self._treated[rule.ports, Transport.UDP] = treated, tls, shared",
        ("tests/relay/test_asking.py", "-k", "each_transport"),
    ),
)
