"""The seeded faults: where each stands in the code, and the tests that must notice. Rows are those of the threat table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutant:
    """One fault: `old` stands exactly once in `path` and is replaced by `new`; then one of `tests` must fail."""

    name: str
    row: str
    path: str
    old: str
    new: str
    tests: tuple[str, ...]
    """Arguments for pytest: files, node names, `-k EXPRESSION`."""


ADDRESSES, FLOW, MODEL = "alg/core/addresses.py", "alg/core/flow.py", "alg/core/model.py"
REQUESTS = "alg/core/requests.py"
PIPELINE, POLICY, PORTS = "alg/core/pipeline.py", "alg/core/policy.py", "alg/core/ports.py"
SESSION, STREAM = "alg/core/session.py", "alg/core/stream.py"
FTP, WIRE = "plugins/alg_ftp/plugin.py", "plugins/alg_ftp/wire.py"
CONTROL, DATA = "plugins/alg_ftp/control.py", "plugins/alg_ftp/data.py"

TALKS = "tests/plugins/test_conversations.py"
ENDPOINTS = "tests/plugins/test_wire_endpoints.py"
PROPERTIES = "tests/plugins/test_ftp_properties.py"
RULES = "tests/core/test_rules.py"


def talks(*names: str) -> tuple[str, ...]:
    """The conversations of these names, played whole."""
    return (*(f"{TALKS}::test_whole[ftp-{name}]" for name in names),)


def talks_like(expression: str) -> tuple[str, ...]:
    """The conversations whose names fit, in all ways of cutting them."""
    return TALKS, "-k", expression


MUTANTS = (
    # The boundary.
    Mutant(
        "anybody may be named",
        "T01",
        POLICY,
        "if not its_own and not allowed_by_name:",
        "if False:",
        talks("port-third-party"),
    ),
    Mutant(
        "a client behind NAT names anybody",
        "T01",
        DATA,
        "foreign_active is ForeignAddress.PEER:\n            return Endpoint(peer, target.port)",
        "foreign_active is ForeignAddress.PEER:\n            return target",
        talks("port-behind-nat"),
    ),
    Mutant("port 1023", "T02", POLICY, "if target.port < rules.min_port:", "if target.port < 1023:", (RULES,)),
    Mutant("no port is low", "T02", POLICY, "if target.port < rules.min_port:", "if False:", talks("port-low")),
    Mutant(
        "this host as ipaddress sees it",
        "T03",
        ADDRESSES,
        "return any(form in network for form in forms(address) for network in _THIS_HOST if form.version == network.version)",
        "return address.is_loopback",
        (RULES, "-k", "self_first"),
    ),
    Mutant(
        "everybody means this host too",
        "T03",
        POLICY,
        "or names_this_host(address, rules.networks)",
        "or allowed_by_name",
        (RULES, "-k", "self_first"),
    ),
    Mutant(
        "a translated address hides nothing",
        "T04",
        ADDRESSES,
        "    if any(address in network for network in _EMBEDDING):\n",
        "    if False:\n",
        ("tests/core/test_addresses.py", "-k", "embedded"),
    ),
    Mutant(
        "6to4 hides nothing",
        "T04",
        ADDRESSES,
        "if address in _SIX_TO_FOUR:",
        "if False:",
        ("tests/core/test_policy.py", "-k", "kindly"),
    ),
    Mutant(
        "mapped addresses are not canonical",
        "T04",
        ADDRESSES,
        "return address.ipv4_mapped or address",
        "return address",
        (RULES, "-k", "canonical"),
    ),
    Mutant(
        "the resolver's grammar",
        "T05",
        ADDRESSES,
        "if _IPV4.fullmatch(text):\n                return IPv4Address(text)",
        'if ":" not in text:\n                return IPv4Address(__import__("socket").inet_aton(text))',
        ("tests/core/test_addresses.py", "-k", "otherwise or refused"),
    ),
    Mutant(
        "a 227 reply is believed",
        "T06",
        DATA,
        '{"command": verb, "target": target},\n            )\n            return Endpoint(peer, target.port)',
        '{"command": verb, "target": target},\n            )\n            return target',
        talks("227-foreign-peer", "227-any-address"),
    ),
    Mutant(
        "no judge of what the server names",
        "T06",
        SESSION,
        "            if isinstance(plan, Connect):\n",
        "            if isinstance(plan, Connect) and side is Side.CLIENT:\n",
        talks("227-foreign-refused", "227-low-port"),
    ),
    Mutant(
        "a code is enough",
        "T07",
        DATA,
        "if reply.code == _SUCCESS[verb]:",
        "if reply.code in (227, 229, 200):",
        talks("227-to-epsv"),
    ),
    Mutant(
        "any line of a reply may be one",
        "T07",
        FTP,
        "                if not single:\n                    await self._pass_rest(stream, code)\n",
        "",
        talks("227-in-banner", "227-in-status"),
    ),
    Mutant(
        "EPSV ALL asks for a port",
        "T07",
        WIRE,
        " and not self.is_epsv_all\n",
        "\n",
        talks("229-before-epsv-all"),
    ),
    Mutant(
        "what nobody asked passes",
        "T08",
        FTP,
        "if pending is None and code != 421:",
        "if False:",
        talks("227-unsolicited", "227-after-refusal"),
    ),
    Mutant(
        "dropped for ever",
        "T08",
        FTP,
        "if self._unsolicited > 1:",
        "if False:",
        talks("227-unsolicited", "227-twice-for-one"),
    ),
    Mutant(
        "HTTP is a verb",
        "T09",
        WIRE,
        "if _OTHER_PROTOCOL.match(body):",
        "if False:",
        (PROPERTIES, "-k", "browser"),
    ),
    Mutant(
        "our own socket may be named",
        "T14",
        POLICY,
        "if any(address in listening for address in addresses):",
        "if False:",
        (RULES, "-k", "by_name"),
    ),
    Mutant(
        "our own socket in one spelling only",
        "T14",
        POLICY,
        "addresses = forms(target.address)",
        "addresses = (target.address,)",
        ("tests/core/test_policy.py", "-k", "every_spelling"),
    ),
    Mutant(
        "the refusal tells of our sockets",
        "T14",
        DATA,
        '        except PolicyError:\n            if client is None:\n                raise _RefusedError(wire.format_reply(425, _NOT_USABLE)) from None\n            # RFC 2577 section 3\n            text = f"{command.verb} refused: that address and port are not allowed."',
        "        except PolicyError as error:\n            if client is None:\n                raise _RefusedError(wire.format_reply(425, _NOT_USABLE)) from None\n            text = str(error)",
        ("tests/plugins/test_ftp_records.py", "-k", "not_told"),
    ),
    Mutant(
        "the first to come",
        "T16",
        SESSION,
        "if canonical(peer) not in self.sources[side]:",
        "if False:",
        ("tests/core/test_session.py", "-k", "nobody_else"),
    ),
    Mutant(
        "the thief uses the lease up",
        "T16",
        SESSION,
        '            raise PolicyError(f"{peer} came where',
        '            self._came[side] = 1\n            raise PolicyError(f"{peer} came where',
        (RULES, "-k", "lease"),
    ),
    Mutant(
        "both peers may come",
        "T18",
        SESSION,
        "or (legs[side].peer.address,)",
        "or (legs[side].peer.address, legs[side.other].peer.address)",
        ("tests/core/test_session.py", "-k", "nobody_else"),
    ),
    Mutant(
        "a lease is used for ever",
        "T18",
        SESSION,
        "        self._came[side] += 1\n",
        "",
        ("tests/core/test_session.py", "-k", "as_many"),
    ),
    Mutant(
        "a lease has no end",
        "T18",
        SESSION,
        "now >= self.deadline:",
        "now > self.deadline:",
        ("tests/core/test_session.py", "-k", "deadline"),
    ),
    Mutant(
        "leases outlive their session",
        "T19",
        SESSION,
        "for number in list(self._leases):",
        "for number in list(self._leases)[1:]:",
        (RULES, "-k", "dies"),
    ),
    Mutant(
        "no barrier before TLS",
        "T20",
        REQUESTS,
        "if direction.stream.buffered:",
        "if False:",
        ("tests/core/test_semantic_5.py",),
    ),
    Mutant(
        "a barrier on one side",
        "T21",
        REQUESTS,
        "if direction.stream.buffered:",
        "if direction.stream.buffered and direction.stream.side is side:",
        ("tests/core/test_semantic_5.py",),
    ),
    Mutant("a NUL passes", "T28", WIRE, 'if b"\\0" in line:', "if False:", talks("nul")),
    Mutant(
        "any feature may be added",
        "T28",
        "plugins/alg_ftp/config.py",
        "feature.isprintable()",
        "True",
        ("tests/plugins/test_ftp_limits.py", "-k", "feature"),
    ),
    Mutant("a bare CR passes", "T29", WIRE, 'if b"\\r" in line:', "if False:", talks("bare-cr", "bare-cr-server")),
    Mutant(
        "the line end goes on as it came",
        "T29",
        CONTROL,
        "        self.pipeline.forwarded(Pending(command))\n        self.client.send(command.line + wire.LINE_END)",
        '        self.pipeline.forwarded(Pending(command))\n        self.client.send(command.line + b"\\n")',
        talks("bare-lf"),
    ),
    Mutant(
        "one byte too many",
        "T30",
        STREAM,
        "if end > limit or",
        "if end > limit + 1 or",
        ("tests/core/test_stream.py", "-k", "limit"),
    ),
    Mutant(
        "the tail of a line is a line",
        "T30",
        STREAM,
        '            raise ProtocolError(f"the {self.side.value} sent a line of more',
        '            self._buffer.clear()\n            raise ProtocolError(f"the {self.side.value} sent a line of more',
        ("tests/core/test_stream.py", "-k", "limit"),
    ),
    Mutant(
        "any telnet code may stand before a verb",
        "T31",
        WIRE,
        r'rb"(?:\xff[\xf4\xf2])*"',
        r'rb"(?:\xff[\xf0-\xff])*"',
        ("tests/plugins/test_wire.py", "-k", "no_command"),
    ),
    Mutant(
        "a peer on loopback names all of it",
        "T03",
        POLICY,
        "(rules.loopback and its_own)",
        "rules.loopback",
        (RULES, "-k", "operator_put"),
    ),
    # Data stolen, changed, leaked.
    Mutant(
        "ports in a row",
        "T57",
        PORTS,
        "drawn = self._below(len(self._rest))",
        "drawn = 0",
        ("tests/core/test_ports.py", "-k", "order"),
    ),
    Mutant(
        "the port of a moment ago",
        "T57",
        PORTS,
        "self._returned.append(port)",
        "self._rest.append(port)",
        ("tests/core/test_ports.py", "-k", "waits"),
    ),
    Mutant(
        "any code ends a reply",
        "T58",
        WIRE,
        'return line[:3] == b"%d" % code and',
        "return line[:3].isdigit() and",
        ("tests/plugins/test_ftp_replies.py",),
    ),
    Mutant(
        "our replies overtake",
        "T59",
        PIPELINE,
        "        if self._waiting:\n            self._add(command, reply)\n        else:\n            self._send(reply)",
        "        self._send(reply)",
        talks("pipelined-local-reply", "epsv-all-pipelined"),
    ),
    Mutant(
        "a preliminary reply is the last",
        "T59",
        FTP,
        "        if reply.code < 200:\n            self._transfers.opening(command)\n            return\n",
        "",
        talks("greeting-preliminary"),
    ),
    Mutant(
        "listeners pile up",
        "T60",
        DATA,
        "        self.give_up()  # the latest counts, also if nothing comes of it\n",
        "",
        talks("pasv-twice", "pasv-then-port"),
    ),
    Mutant(
        "a refused PORT goes on listening",
        "T60",
        DATA,
        "                self.give_up()\n            if not self._server_verbs",
        "            if not self._server_verbs",
        talks("port-refused-by-server"),
    ),
    Mutant(
        "EPSV ALL is forgotten",
        "T61",
        DATA,
        'if self._only_epsv and verb != "EPSV":',
        "if False:",
        talks_like("epsv-all"),
    ),
    Mutant(
        "a digit is a delimiter",
        "T62",
        WIRE,
        r'_EPRT = re.compile(rb"([\x21-\x2f\x3a-\x7e])',
        r'_EPRT = re.compile(rb"([\x21-\x7e])',
        (ENDPOINTS, "-k", "eprt"),
    ),
    Mutant(
        "the family is not looked at",
        "T62",
        WIRE,
        'if (b":" in address) != (family == b"2"):',
        "if False:",
        talks("eprt-refused"),
    ),
    Mutant(
        "six of seven numbers",
        "T63",
        WIRE,
        'rb"([0-9]++(?: *, *[0-9]++)*+)( +(?=[0-9]))?"',
        'rb"([0-9]{1,3}(?: *, *[0-9]{1,3}){5})( +(?=[0-9]))?"',
        talks("227-seven-numbers"),
    ),
    Mutant(
        "a number above 255",
        "T63",
        WIRE,
        "if max(*address, high, low) > 255:",
        "if max(address) > 255:",
        (ENDPOINTS, "-k", "nothing_else"),
    ),
    Mutant(
        "names are text",
        "T64",
        CONTROL,
        "        self.pipeline.forwarded(Pending(command))\n        self.client.send(command.line + wire.LINE_END)",
        '        self.pipeline.forwarded(Pending(command))\n        self.client.send(command.line.decode("utf-8", "replace").encode() + wire.LINE_END)',
        talks("names-8-bit"),
    ),
    Mutant(
        "the record holds the line",
        "T70",
        CONTROL,
        'self.flow.log(reason, f"{command.verb}: {code} {text}"',
        'self.flow.log(reason, f"{command.line!a}: {code} {text}"',
        ("tests/plugins/test_ftp_records.py", "-k", "secret"),
    ),
    Mutant(
        "the error holds the line",
        "T70",
        WIRE,
        'raise ProtocolError(f"the {who} sent a NUL byte"',
        'raise ProtocolError(f"the {who} sent a NUL byte in {raw!a}"',
        ("tests/plugins/test_ftp_records.py", "-k", "secret"),
    ),
    Mutant(
        "text of the peer in a record",
        "T71",
        ADDRESSES,
        'f"not a literal IP address: {text[:_LONGEST_TEXT]!a}"',
        'f"not a literal IP address: {text}"',
        ("tests/core/test_addresses.py", "-k", "refusal"),
    ),
    Mutant(
        "the client is told inside addresses",
        "T72",
        DATA,
        "        except PolicyError:\n            if client is None:\n                raise _RefusedError(wire.format_reply(425, _NOT_USABLE)) from None",
        "        except PolicyError as error:\n            if client is None:\n                raise _RefusedError(wire.format_reply(425, str(error))) from None",
        (TALKS, "-k", "inside_address"),
    ),
    # Availability, and the semantics.
    Mutant(
        "no cap for a session", "T84", SESSION, "if len(self._leases) >= self._gate", "if 0 >= self._gate", (RULES,)
    ),
    Mutant(
        "no cap for a client",
        "T83",
        POLICY,
        "if self._pending_by_client[client] >= self.limits.per_client:",
        "if False:",
        (RULES, "-k", "capped"),
    ),
    Mutant(
        "a port with a sign",
        "T93",
        MODEL,
        '_PORT = re.compile(rb"0|[1-9][0-9]{0,4}")',
        '_PORT = re.compile(rb"[+ ]?[0-9_]{1,5}")',
        ("tests/core/test_model.py",),
    ),
    Mutant(
        "an error lets bytes pass",
        "T111",
        FLOW,
        '            self._abort(PluginError(f"plugin {self.plugin.name} raised {describe(problem)}"))\n        else:\n',
        "            self._finish(side)\n        else:\n",
        ("tests/core/test_semantics.py", "-k", "test_7"),
    ),
    Mutant(
        "half a line is lost at a splice",
        "semantic 6",
        FLOW,
        "            self._commands.append(SendData(side.other, rest))\n",
        "            pass\n",
        ("tests/core/test_semantics.py", "-k", "test_6"),
    ),
    Mutant(
        "words into an opaque direction",
        "semantic 6",
        REQUESTS,
        "if direction.opaque and not direction.stream.ended:",
        "if False:",
        ("tests/core/test_semantics.py", "-k", "test_6"),
    ),
    Mutant(
        "a handshake is read",
        "semantic 5",
        FLOW,
        " and side not in self._handshakes",
        "",
        ("tests/core/test_flow_requests.py", "-k", "tls"),
    ),
    Mutant(
        "a missing reply hides a 227",
        "T72",
        FTP,
        "if not pipeline.skip_to(lambda waiting: waiting.command.asks_for(code)):",
        "if True:",
        talks("reply-missing", "reply-missing-local"),
    ),
)
