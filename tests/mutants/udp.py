"""The seeded faults of datagrams: of the core, of the relay, and of TFTP."""

from __future__ import annotations

from tests.mutants.table import Mutant, left_out, talks

DATAGRAMS, MACHINE = "alg/core/datagrams.py", "alg/core/datagram_flow.py"
SESSION, TABLE, SESSIONS = "alg/relay/datagram_session.py", "alg/relay/datagram_table.py", "alg/relay/datagrams.py"
SERVER, SOCKETS, LISTENER = (
    "alg/relay/server_socket.py",
    "alg/relay/datagram_sockets.py",
    "alg/relay/datagram_listener.py",
)
RECORDS = "alg/relay/datagram_records.py"
LEASE, PORT, LEASES = "alg/relay/datagram_lease.py", "alg/relay/datagram_port.py", "tests/relay/test_datagram_leases.py"
PLUGIN, WIRE, CONFIG = "plugins/alg_tftp/plugin.py", "plugins/alg_tftp/wire.py", "alg/route_config.py"

CORE, TFTP = ("tests/core/test_datagram_flow.py",), ("tests/plugins/test_tftp.py",)
RELAY, TRANSFERS = "tests/relay/test_datagrams.py", "tests/relay/test_tftp.py"
WORTH, FLOODS = ("tests/relay/test_datagram_table.py",), "tests/relay/test_datagram_floods.py"
SETTINGS = ("tests/test_config_datagrams.py",)

STRANGERS, OPTIONS, AMPLIFICATION, EVICTION, ERRORS, SQUATTERS = "T75", "T76", "T96", "T98", "F36", "T56"

UDP_MUTANTS = (
    # The core.
    Mutant("udp: all may wait", "F36", DATAGRAMS, "if len(self._queue) < WAITING:", "if True:", CORE),
    Mutant(
        "udp: unread datagrams are glued",
        "semantic 6",
        MACHINE,
        "[SendDatagram(side.other, data) for data in direction.stream.drain()]",
        '[SendDatagram(side.other, b"".join(direction.stream.drain()))]',
        CORE,
    ),
    Mutant(
        "udp: a stranger gets more than he sends",
        AMPLIFICATION,
        MACHINE,
        " and len(answer) <= max(len(data), SMALLEST)",
        "",
        CORE,
    ),
    Mutant("udp: what is given back comes for ever", "F36", MACHINE, " and self._heard > 1", "", CORE),
    Mutant(
        "udp: each question is a record",
        EVICTION,
        RECORDS,
        "if assured and self._tallies.may_record():",
        "if self._tallies.may_record():",
        (RELAY, "-k", "questions"),
    ),
    # The server's side.
    Mutant(
        "udp: anybody is the server",
        STRANGERS,
        SERVER,
        "return sender[:2] == self._peer",
        "return True",
        (TRANSFERS, "-k", "stranger"),
    ),
    Mutant(
        "udp: anybody is first",
        STRANGERS,
        SERVER,
        "if not self._fixed and sender[0] == self._peer[0]:",
        "if not self._fixed:",
        (TRANSFERS, "-k", "first"),
    ),
    Mutant(
        "udp: the port is never fixed",
        STRANGERS,
        SERVER,
        "(sender[0], sender[1]), True",
        "(sender[0], sender[1]), False",
        (TRANSFERS, "-k", "told_so"),
    ),
    Mutant(
        "udp: a stranger's error is the server's",
        ERRORS,
        SERVER,
        "if sent_to[:2] == self._peer:",
        "if True:",
        (TRANSFERS, "-k", "ends_nothing"),
    ),
    Mutant(
        "udp: the kernel lets anybody through",
        STRANGERS,
        SOCKETS,
        "        if not loose:\n            sock.connect((str(target.address), target.port))\n",
        "        if not loose:\n            sock.connect((str(target.address), target.port))\n            connected = sock\n"
        "            sock = _datagram_socket(target.address)\n            sock.bind(connected.getsockname())\n",
        (RELAY, "-k", "stranger"),
    ),
    # Answers of our own.
    Mutant(
        "udp: more than was sent",
        AMPLIFICATION,
        SESSION,
        "if self._answered_bytes + len(data) > self.records.said[Side.CLIENT] or not self._sessions.may_answer():",
        "if not self._sessions.may_answer():",
        (RELAY, "-k", "more_than_he_sent"),
    ),
    Mutant(
        "udp: as often as anybody likes",
        AMPLIFICATION,
        SESSION,
        " > self.records.said[Side.CLIENT] or not self._sessions.may_answer():",
        " > self.records.said[Side.CLIENT]:",
        (RELAY, "-k", "ten_a_second"),
    ),
    Mutant(
        "udp: strangers as often as they like",
        AMPLIFICATION,
        SESSION,
        "answer if answer and self._sessions.may_answer() else",
        "answer if answer else",
        (TRANSFERS, "-k", "ten_times"),
    ),
    # Who makes place.
    left_out(
        "udp: no limit of one client",
        EVICTION,
        TABLE,
        "fresh.count_of(client) + assured.count_of(client) >= self._per_client",
        WORTH,
    ),
    Mutant(
        "udp: one client's limit costs others",
        EVICTION,
        TABLE,
        "return fresh.oldest_of(client) or assured.oldest_of(client)",
        "return self.least()",
        WORTH,
    ),
    Mutant(
        "udp: no limit in all",
        EVICTION,
        TABLE,
        "return self.least() if len(self) >= self._in_all else None",
        "return None",
        (FLOODS, "-k", "forged"),
    ),
    Mutant(
        "udp: who is known goes first",
        EVICTION,
        TABLE,
        "if assured.count and (not fresh.count or assured.count * 4 >= self._in_all * 3):",
        "if assured.count:",
        (FLOODS, "-k", "forged"),
    ),
    Mutant(
        "udp: who is known keeps all others out",
        EVICTION,
        TABLE,
        " or assured.count * 4 >= self._in_all * 3",
        "",
        WORTH,
    ),
    left_out(
        "udp: nobody is ever known", EVICTION, SESSION, "self.answered and not self.assured", (FLOODS, "-k", "forged")
    ),
    Mutant(
        "udp: a flood of records",
        EVICTION,
        "alg/relay/tally.py",
        "if now - self._last >= 1.0:",
        "if True:",
        (FLOODS, "-k", "disturbs"),
    ),
    left_out(
        "udp: a record for each refusal",
        AMPLIFICATION,
        RECORDS,
        "is_refusal(reason) and not (answered and self._tallies.may_record())",
        (TRANSFERS, "-k", "flood_of_bad"),
    ),
    Mutant(
        "tftp: an OACK changes its mind",
        OPTIONS,
        PLUGIN,
        "return packet == self._oack",
        "return True",
        talks("oack-more", plugin="tftp"),
    ),
    # The client's side.
    Mutant(
        "udp: anybody may share our port",
        SQUATTERS,
        SOCKETS,
        "        sock.bind((str(endpoint.address), endpoint.port))\n",
        "        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
        "        sock.bind((str(endpoint.address), endpoint.port))\n",
        (RELAY, "-k", "exclusive"),
    ),
    left_out("udp: answers leave from anywhere", "F20", LISTENER, "to is not None", (RELAY, "-k", "leaves_from")),
    Mutant(
        "udp: one flow for all our addresses",
        "F20",
        LISTENER,
        "self.arrived((sender, to), data)",
        "self.arrived((sender, None), data)",
        (RELAY, "-k", "two_addresses"),
    ),
    left_out("udp: clients are taken while draining", "F29", LISTENER, "self._closing", (RELAY, "-k", "draining")),
    Mutant(
        "udp: an idle flow stays",
        EVICTION,
        SESSIONS,
        "if now - session.last >= idle:",
        "if False:",
        (RELAY, "-k", "silence"),
    ),
    # TFTP.
    Mutant("tftp: options too big", OPTIONS, WIRE, "low <= int(value) <= high", "low <= int(value)", TFTP),
    Mutant("tftp: options too small", OPTIONS, WIRE, "low <= int(value) <= high", "int(value) <= high", TFTP),
    Mutant("tftp: options twice", OPTIONS, WIRE, "len(options) * 2 < len(words) or ", "", TFTP),
    Mutant("tftp: multicast", OPTIONS, WIRE, " or _REFUSED & options.keys()", "", TFTP),
    Mutant(
        "tftp: no NUL at the end",
        OPTIONS,
        WIRE,
        "if words.pop() or len(words) % 2:",
        "words.pop()\n    if len(words) % 2:",
        TFTP,
    ),
    left_out("tftp: any mode", OPTIONS, WIRE, 'mode.lower() not in (b"octet", b"netascii")', TFTP),
    left_out("tftp: requests of any length", OPTIONS, WIRE, "len(packet) > LONGEST_REQUEST", TFTP),
    Mutant(
        "tftp: an OACK of anything",
        OPTIONS,
        WIRE,
        "if not options.keys() <= asked.keys() or any(",
        "if any(",
        talks("oack-more", plugin="tftp"),
    ),
    Mutant(
        "tftp: anything from anybody",
        STRANGERS,
        PLUGIN,
        "kind not in _SENDS.get((self._request.opcode, side), ()) or not",
        "not",
        talks("wrong-way", plugin="tftp"),
    ),
    Mutant("tftp: errors about errors", STRANGERS, PLUGIN, "wire.opcode(data) not in (0, wire.ERROR)", "True", TFTP),
    Mutant("tftp: an error longer than the request", AMPLIFICATION, WIRE, "[: max(0, longest - 5)]", "", TFTP),
    Mutant(
        "tftp: read-only is written",
        OPTIONS,
        PLUGIN,
        "Verdict.REJECT if writes or hidden else",
        "Verdict.REJECT if hidden else",
        talks("read-only", plugin="tftp"),
    ),
    # The configuration.
    left_out(
        "udp: TLS goes without effect",
        "F27",
        CONFIG,
        "table.client.tls != ClientTlsTable() or table.server.tls != ServerTlsTable() or any(map(_is_said, said))",
        SETTINGS,
    ),
    # Related flows.
    Mutant(
        "udp: whoever comes through a lease",
        "T37",
        LEASE,
        "self._lease.admit(self.origin, peer.address, self.services.loop.time())",
        "pass",
        (LEASES, "-k", "wrong_sender"),
    ),
    left_out(
        "udp: any number through a lease",
        "T37",
        LEASE,
        "limit is not None and port.came >= limit",
        (LEASES, "-k", "two_ports"),
    ),
    Mutant(
        "udp: a lease leads to one port",
        "T37",
        PORT,
        "lease.target.port + self._offset)",
        "lease.target.port)",
        (LEASES, "-k", "two_ports"),
    ),
    Mutant(
        "udp: a pair is none",
        "T37",
        LEASE,
        "self.pair, pair.pair = pair, self",
        "pass",
        (LEASES, "-k", "a_pair_speaks"),
    ),
    Mutant(
        "udp: a lease outlives its session",
        "T18",
        SESSION,
        "        for number in list(self.leases):\n            self.close_binding(number)\n",
        "",
        (LEASES, "-k", "lives_as_long"),
    ),
    Mutant(
        "udp: ports begin with an odd one",
        "T37",
        "alg/core/ports.py",
        "range(port & ~1, (port & ~1) + span)",
        "range(port, port + span)",
        ("tests/core/test_datagram_expectations.py",),
    ),
)
