"""The seeded faults of the mapping of addresses over HTTP: where they are, what becomes of them, and the same on whole
messages, for hosts that parse HTTP themselves. Rows are those of the threat table.
"""

from __future__ import annotations

from tests.mutants.http import http
from tests.mutants.table import Mutant, left_out

ANSWERING, MAPPING, FIELDS, CONNECTION, WEB = (
    f"plugins/alg_http/{name}.py" for name in ("answering", "mapping", "fields", "connection", "web")
)
JSON, XML, CONTENT, PLACES = (f"plugins/alg_http/{name}.py" for name in ("json_text", "xml_text", "content", "places"))
LIMITS, MAPPED, WHOLE = (f"tests/plugins/test_http_{name}.py" for name in ("limits", "mapping", "exchange"))


def _mapping(name: str, path: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(f"http mapping: {name}", "T65", path, old, new, (MAPPED, "-k", *tests))


def _left_out(row: str, path: str, what: str, check: str) -> Mutant:
    name = path.rpartition("/")[2].removesuffix(".py")
    return left_out(f"http {name}: {what}", row, path, check, (f"tests/plugins/test_http_{name}.py",))


HTTP_MAPPING_MUTANTS = (
    # Mapping.
    _mapping(
        "third parties are named all the same",
        MAPPING,
        "except (PolicyError, BindError):\n            return None",
        "except (PolicyError, BindError):\n            return b''",
        "without_a_port_left or elasticsearch",
    ),
    _mapping(
        "loopback is this host",
        MAPPING,
        "if address.is_loopback or address.is_unspecified else address",
        "if False else address",
        "loopback",
    ),
    _mapping(
        "the length of before", ANSWERING, "Body(Framing.LENGTH, len(data))", "Body(Framing.LENGTH, body.length)", "cdp"
    ),
    _mapping("listeners for ever", CONNECTION, "lifetime / 2", "1e9", "same_target"),
    _mapping(
        "HTTP to cameras' streams", CONNECTION, "plugin=None if opaque else self._name", "plugin=self._name", "onvif"
    ),
    Mutant(
        "http mapping: any name",
        "T65",
        MAPPING,
        "return None if known is None else (known, host)",
        "return (known or ends.server.address), host",
        http("location-elsewhere"),
    ),
    Mutant(
        "http mapping: compressed answers",
        "T65",
        FIELDS,
        'headers, _CONDITIONS), (b"Accept-Encoding", b"identity")]',
        "headers, ())]",
        http("cdp"),
    ),
    Mutant(
        "http mapping: redirects past us",
        "T49",
        FIELDS,
        "[place for place in places if place.scheme not in OPAQUE]",
        "list(places)",
        (MAPPED, "-k", "no_way_past_us"),
    ),
    Mutant(
        "http mapping: each refusal is recorded",
        "T71",
        CONNECTION,
        "self._told[key] = told, self.flow.now + lifetime / 2",
        "self._told[key] = told, self.flow.now + lifetime / 2 * isinstance(told, Endpoint)",
        (MAPPED, "-k", "recorded_once"),
    ),
    Mutant(
        "http mapping: all refusals are remembered",
        "T88",
        CONNECTION,
        "if len(self._told) >= _TOLD:",
        "if False:",
        (MAPPED, "-k", "forgotten"),
    ),
    Mutant(
        "http mapping: other spellings of who asks",
        "T26",
        FIELDS,
        'lower.replace(b"_", b"-") in FORWARDED',
        "lower in FORWARDED",
        (LIMITS, "-k", "cannot_be_claimed"),
    ),
    Mutant(
        "http: a foreign page is one of ours",
        "T49",
        FIELDS,
        "if lower in _INWARD and ends.known and not config.keeps_host:",
        "if lower in _INWARD and not config.keeps_host:",
        (LIMITS, "-k", "rebinding"),
    ),
    Mutant(
        "http: any number of addresses",
        "T86",
        MAPPING,
        "if len(found) > _PLACES:",
        "if False:",
        (MAPPED, "-k", "too_many"),
    ),
    # Hosts that parse HTTP themselves.
    Mutant(
        "http whole: a fake 101",
        "T24",
        WEB,
        "handshake.check_response(self._offer, lowered(response.headers))",
        "pass",
        (WHOLE, "-k", "upgrades"),
    ),
    Mutant(
        "http whole: anybody", "T74", WEB, "admission.admit_page(self._config, asked)", "pass", (WHOLE, "-k", "refused")
    ),
    Mutant(
        "http whole: any host",
        "T49",
        WEB,
        "admission.admit(self._config, asked, self._ends.outside, known=self._ends.known)",
        "pass",
        (WHOLE, "-k", "refused"),
    ),
    Mutant(
        "http whole: bodies inflate",
        "T87",
        WEB,
        "decode(response.body, coding_of(response.headers), self._config.max_body)",
        "decode(response.body, coding_of(response.headers), 1 << 30)",
        (WHOLE, "-k", "inflates_too_far or too_long"),
    ),
    Mutant(
        "mitm: bodies that are streamed",
        "T49",
        "alg/mitm/web.py",
        "            compat.hold_bodies(flow)",
        "            pass",
        ("tests/mitm/test_web_odd.py", "-k", "bodies_are_not_streamed"),
    ),
    Mutant(
        "mitm: bodies that others stream",
        "T49",
        "alg/mitm/web.py",
        "flow.response.stream = False",
        "pass",
        ("tests/mitm/test_web.py", "-k", "another_addon_that_streams"),
    ),
    # Where addresses are.
    _left_out("T86", JSON, "depth", "depth == DEPTH_LIMIT"),
    _left_out("T93", JSON, "what stands behind", "end != len(self._body)"),
    _left_out("T86", XML, "depth", "len(self._wanted) == DEPTH_LIMIT"),
    Mutant(
        "http xml_text: entities",
        "T87",
        XML,
        "parser.StartDoctypeDeclHandler = self._doctype",
        "pass",
        ("tests/plugins/test_http_xml_text.py",),
    ),
    _left_out("T93", XML, "another encoding", "(encoding and encoding.lower()) not in _ENCODINGS"),
    _left_out("T87", CONTENT, "a bomb", "room < 0"),
    _left_out("T77", CONTENT, "cut off", "not step"),
    _left_out("T77", CONTENT, "what stands behind", "position < len(view)"),
    _left_out("T93", PLACES, "any port", "port is not None and port > 65535"),
    _left_out(
        "T93", PLACES, "any number as a host", "(bracketed or _NUMERIC_NAME.fullmatch(host)) and not _is_address(host)"
    ),
)
