"""The seeded faults of the relay: sockets, leases, limits, the end of things. Rows are those of the threat and fault tables."""

from __future__ import annotations

from tests.mutants.table import Mutant

BUDGET, DIALER, FLOW = "alg/relay/budget.py", "alg/relay/dialer.py", "alg/relay/flow.py"
LEASE, LEG, LISTENER = "alg/relay/lease.py", "alg/relay/leg.py", "alg/relay/listener.py"
CARRIER, RELATED = "alg/relay/carrier.py", "alg/relay/related.py"
MACHINES, PIPES, PUMP = "alg/core/machines.py", "alg/relay/pipes.py", "alg/relay/pump.py"
RECORDS, SERVER, SERVICES = "alg/relay/records.py", "alg/relay/server.py", "alg/relay/services.py"
SESSION, SOCKETS, POLICY = "alg/relay/session.py", "alg/relay/sockets.py", "alg/core/policy.py"
CORE_SESSION, DAEMON = "alg/core/session.py", "alg/daemon.py"
CONTROL, DATA = "plugins/alg_ftp/control.py", "plugins/alg_ftp/data.py"
SESSION_RECORDS, DYNAMIC_PORTS = "alg/relay/session_records.py", "alg/dynamic_ports.py"

LEASES, ENDS, PORTS = "tests/relay/test_lease.py", "tests/relay/test_lease_end.py", "tests/relay/test_lease_ports.py"
TARGETS, FLOWS, FLOW_ENDS = "tests/relay/test_targets.py", "tests/relay/test_flow.py", "tests/relay/test_flow_end.py"
SERVERS, CHURN, DIALS = "tests/relay/test_server.py", "tests/relay/test_churn.py", "tests/relay/test_dialer.py"
SAID, PUMPS, SESSIONS = "tests/relay/test_records.py", "tests/relay/test_pump.py", "tests/relay/test_session.py"
DESCRIPTORS, DAEMONS, REALMS = "tests/relay/test_descriptors.py", "tests/test_daemon.py", "tests/relay/test_realms.py"
URGENT, ORDER, ABORTS = "tests/relay/test_urgent.py", "tests/relay/test_ftp_order.py", "tests/relay/test_aborts.py"
NAMES, BACKPRESSURE = "tests/relay/test_names.py", "tests/relay/test_backpressure.py"

RELAY_MUTANTS = (
    # The boundary.
    Mutant(
        "relay: anybody may be named", "T01", POLICY, "if not its_own and not allowed_by_name:", "if False:", (TARGETS,)
    ),
    Mutant("relay: port 1023", "T02", POLICY, "if target.port < rules.min_port:", "if False:", (LEASES,)),
    Mutant(
        "relay: a foreign 227 is followed",
        "T06",
        DATA,
        '{"command": verb, "target": target},\n            )\n            return Endpoint(peer, target.port)',
        '{"command": verb, "target": target},\n            )\n            return target',
        (TARGETS,),
    ),
    Mutant(
        "relay: our sockets are like others",
        "T03",
        POLICY,
        "if any(address in listening for address in addresses):",
        "if False:",
        (TARGETS,),
    ),
    Mutant(
        "relay: 0.0.0.0 is an address like others",
        "T15",
        POLICY,
        "if target.address.is_unspecified:",
        "if False:",
        (TARGETS,),
    ),
    Mutant("leases are no sockets of ours", "T14", DYNAMIC_PORTS, "gate.add_socket(local)", "pass", (TARGETS,)),
    Mutant("a dial is not judged", "T14", DIALER, "self._gate.judge_dial(target)", "pass", (TARGETS, DIALS)),
    Mutant("loops are not looked for", "T15", SERVER, "self._refuse_loops(listener)", "pass", (TARGETS,)),
    Mutant(
        "a stranger is let in",
        "T16",
        CORE_SESSION,
        "if canonical(peer) not in self.sources[side]:",
        "if False:",
        (LEASES,),
    ),
    Mutant(
        "a stranger closes the lease",
        "T16",
        LEASE,
        'f"at {listener.local}: {error}", fields)\n',
        'f"at {listener.local}: {error}", fields)\n            session.close_binding(lease.number)\n',
        (LEASES,),
    ),
    Mutant(
        "a stranger is hung up on in order",
        "T17",
        LEASE,
        "except PolicyError as error:\n            visitor.cut_off(error)",
        "except PolicyError as error:\n            visitor.refuse(error)",
        (LEASES,),
    ),
    Mutant(
        "a lease is good for many",
        "T18",
        LEASE,
        """        if all(map(lease.used_up, lease.expectation.accepted)):
            self._session.close_binding(lease.number)
        elif lease.used_up(listener.side):
            listener.close()
""",
        "        del lease, listener\n",
        (LEASES,),
    ),
    Mutant("a lease lives for ever", "T18", LEASE, ".begin(self._expire)", ".begin(lambda: None)", (LEASES,)),
    Mutant(
        "a lease outlives its session",
        "T19",
        SESSION,
        "        self._leases.close_all()\n        if flow.error",
        "        if flow.error",
        (ENDS,),
    ),
    Mutant(
        "a lease listens although it is closed",
        "T19",
        LEASE,
        "        self._sock.close()\n        self._port",
        "        self._port",
        (ENDS,),
    ),
    # Data.
    Mutant(
        "ports are shared",
        "T56",
        SOCKETS,
        "socket.SO_REUSEADDR, 1)\n        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE",
        "socket.SO_REUSEPORT, 1)\n        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE",
        (PORTS,),
    ),
    Mutant(
        "ports count up",
        "T57",
        DYNAMIC_PORTS,
        "PortPool(ports, secrets.randbelow)",
        "PortPool(ports, lambda _: 0)",
        (PORTS,),
    ),
    Mutant(
        "two listeners of one session",
        "T60",
        DATA,
        "        self.give_up()  # the latest counts, also if nothing comes of it\n",
        "",
        (LEASES,),
    ),
    Mutant(
        "text as it comes",
        "T71",
        RECORDS,
        "message = printable(record.getMessage())",
        "message = record.getMessage()",
        (SAID,),
    ),
    Mutant(
        "fields replace our keys",
        "T71",
        RECORDS,
        "line.setdefault(key, value if isinstance(value, int) else str(value)[:_LONGEST_TEXT])",
        "line[key] = value if isinstance(value, int) else str(value)",
        (SAID,),
    ),
    Mutant(
        "commands are written with their arguments",
        "T70",
        CONTROL,
        '{"command": command.verb, "code": code})\n        self.reply',
        '{"command": repr(command.line), "code": code})\n        self.reply',
        (SAID,),
    ),
    Mutant(
        "a broken flow's pipe is used again",
        "T73",
        PUMP,
        "self._pool.discard(self._pipe)",
        "self._pool.give_back(self._pipe)",
        (PUMPS,),
    ),
    # Availability.
    Mutant(
        "everything is queued", "T80", PUMP, "            if self.sink.queued:\n", "            if False:\n", (FLOWS,)
    ),
    Mutant(
        "no limit for one client",
        "T81",
        BUDGET,
        "if self._by_client[client] >= self._limits.sessions_per_client:",
        "if False:",
        (SERVERS,),
    ),
    Mutant("no limit in all", "T81", BUDGET, "if self.sessions >= self._limits.sessions:", "if False:", (SERVERS,)),
    Mutant(
        "descriptors are not counted",
        "T82",
        BUDGET,
        "self._shares + share > self.descriptors",
        "False",
        (SERVERS, DAEMONS),
    ),
    Mutant(
        "sessions are forgotten when they are connected",
        "T82",
        SESSION,
        "if self.flows or self._dials or self._closed",
        "if self._dials or self._closed",
        (SESSIONS,),
    ),
    Mutant(
        "ports do not come back",
        "T83",
        DYNAMIC_PORTS,
        "self._pool.give_back(self.local.port)",
        "pass",
        (PORTS,),
    ),
    Mutant(
        "a vanished client is not noticed",
        "T85",
        LEG,
        "            self._loop.call_soon(on_lost, error)",
        "            pass",
        (CHURN, FLOWS),
    ),
    Mutant(
        "a related flow's share is kept",
        "T86",
        RELATED,
        "        services.budget.give_related()\n        from_client",
        "        from_client",
        (CHURN,),
    ),
    Mutant(
        "a lease without descriptors spins",
        "F14",
        LEASE,
        "self._services.watcher.remove_reader(self._sock.fileno())",
        "pass",
        (DESCRIPTORS,),
    ),
    Mutant(
        "a listener without descriptors spins",
        "F14",
        LISTENER,
        "self._services.watcher.remove_reader(self.sock.fileno())",
        "pass",
        (DESCRIPTORS,),
    ),
    Mutant(
        "a plugin that cannot be made",
        "F27",
        MACHINES,
        "        return plugin(config)\n    except Exception",
        "        return plugin(config)\n    except ZeroDivisionError",
        ("tests/relay/test_plugins.py",),
    ),
    # What flows promise.
    Mutant(
        "a reset looks like an end",
        "F01",
        CARRIER,
        "                    leg.reset()",
        "                    leg.close()",
        (FLOWS,),
    ),
    Mutant(
        "a spliced flow's reset looks like an end",
        "F02",
        FLOW,
        "if Side.SERVER in self._pumps:",
        "if False:",
        (FLOW_ENDS,),
    ),
    Mutant(
        "half-close is close",
        "F03",
        CARRIER,
        "        if truncated or len(self._ended) < 2:\n",
        "        if truncated:\n",
        (FLOWS,),
    ),
    Mutant(
        "last words are cut off",
        "F02",
        CARRIER,
        "            self._after_all_is_sent(self._stay)",
        "            self._stay()",
        (FLOW_ENDS,),
    ),
    Mutant(
        "a reset behind the end cuts the other side",
        "F02",
        FLOW,
        "if self._closing and not self.legs[side.other].broken:",
        "if False:",
        (FLOW_ENDS,),
    ),
    Mutant(
        *("one silent address takes all the time", "F08", DIALER),
        "                if self._targets:\n",
        "                if False:\n",
        (DIALS,),
    ),
    Mutant(
        "a cancelled dial calls back",
        "F07",
        DIALER,
        "        trying, self._trying = self._trying, {}\n        for sock in trying:\n",
        "        trying, self._trying = self._trying, {}\n        for sock in ():\n",
        (DIALS,),
    ),
    Mutant(
        "a failed start leaves listeners",
        "F11",
        SERVER,
        "            self.close()\n            raise",
        "            raise",
        (SERVERS,),
    ),
    Mutant("one try for a port", "F13", DYNAMIC_PORTS, "_ATTEMPTS = 16", "_ATTEMPTS = 1", (PORTS,)),
    Mutant(
        "drain does not wait", "F20", SERVER, "await asyncio.wait_for(self.wait_idle(), seconds)", "pass", (SERVERS,)
    ),
    Mutant(
        "a second signal changes nothing",
        "F20",
        DAEMON,
        "(at_once if stop.is_set() else stop).set()",
        "stop.set()",
        (f"{DAEMONS}::test_second_signal_ends_at_once",),
    ),
    Mutant(
        "0.0.0.0 is advertised",
        "P1",
        DYNAMIC_PORTS,
        "local if address.is_unspecified else address",
        "local if False else address",
        (REALMS,),
    ),
    # Odd peers.
    Mutant(
        "an urgent byte stops a spliced direction",
        "T64",
        PUMP,
        "                if turn:\n                    break\n",
        "                break\n",
        (URGENT,),
    ),
    Mutant(
        "answers to commands are nested",
        "T80",
        FLOW,
        "commands += self._answer(self._owner.open_binding(command, self))",
        "self._tell(self._owner.open_binding(command, self))",
        (f"{ORDER}::test_many_commands_at_once_while_no_port_is_free",),
    ),
    Mutant(
        "an address of any family will do",
        "T72",
        DYNAMIC_PORTS,
        "configured if configured is not None and configured.version == address.version else address",
        "configured or address",
        (REALMS,),
    ),
    Mutant(
        "a failed master flow leaves its related flows",
        "F14",
        SESSION,
        "if flow.error is not None and not isinstance(flow.error, ConnectError):",
        "if False:",
        (ABORTS,),
    ),
    Mutant(
        "a lost client ends its transfers",
        "F14",
        SESSION,
        "if flow.error is not None and not isinstance(flow.error, ConnectError):",
        "if flow.error is not None:",
        (ABORTS,),
    ),
    Mutant(
        "dials outlive their session",
        "F14",
        SESSION,
        "            dial.cancel()\n            on_cancel()\n",
        "            pass\n",
        (ABORTS,),
    ),
    Mutant("late listeners", "T61", SESSION, "if self._over:", "if False:", (ABORTS,)),
    Mutant(
        "a name may turn to loopback",
        "T15",
        LISTENER,
        "elif not self.targets[Side.SERVER].loopback:",
        "elif False:",
        (NAMES,),
    ),
    Mutant(
        "a name may not stay on loopback",
        "T15",
        LISTENER,
        "on_loopback = any(map(is_this_host, addresses))",
        "on_loopback = False",
        (NAMES,),
    ),
    Mutant(
        "two writers wait for each other",
        "T80",
        FLOW,
        "self.legs[side].queued < REPLIES_HIGH_WATER",
        "self.legs[side].queued < HIGH_WATER",
        (BACKPRESSURE,),
    ),
    Mutant(
        "replies of ours are queued without bound",
        "T80",
        FLOW,
        " and self.legs[side].queued < REPLIES_HIGH_WATER",
        "",
        (BACKPRESSURE,),
    ),
)
