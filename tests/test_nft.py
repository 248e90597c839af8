"""`alg nft` prints the rules for transparent routes: the exact text, what holds for all of them, what is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from alg import nft
from alg.cli import main
from alg.core.addresses import parse_address
from alg.core.errors import ConfigError
from alg.core.model import Endpoint, PortRange, Transport

ALLOWED = ("--allow-upstream", "10.77.2.0/24")
FTP = ("--plugin", "21=ftp")
HEAD = """\
table inet alg
delete table inet alg
table inet alg {
	comment "alg nft: mark 0x00414c47, route table 4147"

	# What belongs to a socket of the gateway at another host's address comes to it.
	chain divert {
		socket wildcard 1 return
		tcp flags & (syn | ack) != syn socket transparent 1 meta mark set 0x00414c47 accept
		socket wildcard 0 socket transparent 1 meta mark set 0x00414c47 accept
	}

	chain prerouting {
		type filter hook prerouting priority mangle; policy accept;
		meta l4proto { tcp, udp } jump divert
"""
TPROXY = """\
		{interfaces}tcp flags & (syn | ack) == syn jump intercept
	}}

	chain intercept {{
		fib daddr type {{ local, broadcast, anycast, multicast }} return
{rules}
	}}

	# While the gateway does not run, nobody passes by it.
	chain closed {{
		meta l4proto tcp reject with tcp reset
		reject
	}}
}}
"""
REDIRECT = """\
	}}

	chain translate {{
		type nat hook prerouting priority dstnat; policy accept;
		meta mark 0x00414c47 return
		fib daddr type {{ local, broadcast, anycast, multicast }} return
{rules}
	}}
}}
"""
CONFIG = """\
[routes.four]
route = "transparent@0.0.0.0:8080"
upstreams = ["10.0.0.0/8"]
plugins = { 21 = "ftp", "8000-8010" = "http" }
[routes.files]
route = "ftp://203.0.113.2@0.0.0.0:2121"
[routes.six]
route = "transparent@[fd77:1::1]:8081"
upstreams = ["fd77:2::/64"]
plugins = { 21 = "ftp" }
"""


def alg_nft(*arguments: str) -> Result:
    """Run it."""
    return CliRunner().invoke(main, ["nft", *arguments], prog_name="alg")


def rules_of(*arguments: str) -> str:
    """The rules that it prints, without the page's head."""
    result = alg_nft(*arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    head, table, rest = result.stdout.partition("\ntable inet")
    assert all(line.startswith("#") or not line for line in head.splitlines())
    return f"{table[1:]}{rest}"


def commands_of(*arguments: str) -> list[str]:
    """The commands beside the rules."""
    return re.findall(r"^# (ip .*)$", alg_nft(*arguments).stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "interfaces", "rules"),
    [
        (
            ("transparent@0.0.0.0:8080", *FTP),
            "",
            (
                "\t\tmeta nfproto ipv4 tcp dport { 21 } tproxy ip to :8080 meta mark set 0x00414c47 accept\n"
                "\t\tmeta nfproto ipv4 tcp dport { 21 } goto closed"
            ),
        ),
        (
            ("transparent@[::]:8080", "--plugin", "21=ftp", "--plugin", "8000-8010=http", "--interface", "lan0"),
            'iifname { "lan0" } ',
            (
                "\t\tmeta nfproto ipv6 tcp dport { 21, 8000-8010 } tproxy ip6 to :8080 meta mark set 0x00414c47 accept\n"
                "\t\tmeta nfproto ipv6 tcp dport { 21, 8000-8010 } goto closed"
            ),
        ),
        (
            ("transparent@[fd77:1::1]:8080", *FTP, "--interface", "lan0", "--interface", "lan1"),
            'iifname { "lan0", "lan1" } ',
            (
                "\t\tmeta nfproto ipv6 tcp dport { 21 } tproxy ip6 to [fd77:1::1]:8080 meta mark set 0x00414c47 accept\n"
                "\t\tmeta nfproto ipv6 tcp dport { 21 } goto closed"
            ),
        ),
    ],
    ids=["IPv4", "IPv6, range, interface", "address, interfaces"],
)
def test_tproxy(arguments: tuple[str, ...], interfaces: str, rules: str) -> None:
    """The whole text."""
    assert rules_of(*arguments, *ALLOWED) == HEAD + TPROXY.format(interfaces=interfaces, rules=rules)


@pytest.mark.parametrize(
    ("arguments", "rules"),
    [
        (
            ("transparent@0.0.0.0:8080", *FTP, "--interface", "lan0"),
            '\t\tiifname { "lan0" } meta nfproto ipv4 tcp dport { 21 } tcp flags & (syn | ack) == syn redirect to :8080',
        ),
        (
            ("transparent@[fd77:1::1]:8080", "--plugin", "21-22=tcp"),
            "\t\tmeta nfproto ipv6 tcp dport { 21-22 } tcp flags & (syn | ack) == syn dnat ip6 to [fd77:1::1]:8080",
        ),
    ],
    ids=["IPv4", "IPv6, address"],
)
def test_redirect(arguments: tuple[str, ...], rules: str) -> None:
    """The whole text."""
    assert rules_of("--intercept", "redirect", *arguments, *ALLOWED) == HEAD + REDIRECT.format(rules=rules)


DATAGRAMS = """\
	chain intercept {
		fib daddr type { local, broadcast, anycast, multicast } return
		meta nfproto ipv4 udp dport { 69, 53 } tproxy ip to :8080 meta mark set 0x00414c47 accept
		meta nfproto ipv4 udp dport { 69, 53 } goto closed
	}
"""


def test_datagrams() -> None:
    """They are handed over as they are, by either method; the same port may lead elsewhere over TCP."""
    ports = [word for each in ("69=tftp", "53=udp", "53=tcp") for word in ("--plugin", each)]
    arguments = ("transparent@0.0.0.0:8080", *ports, "--interface", "lan0", *ALLOWED)
    redirected = rules_of("--intercept", "redirect", *arguments)
    assert DATAGRAMS in redirected
    assert '\t\tiifname { "lan0" } meta l4proto udp jump intercept\n' in redirected
    assert "tcp dport { 53 } tcp flags & (syn | ack) == syn redirect to :8080" in redirected
    assert redirected.count("jump intercept") == 1
    elsewhere = '\tchain divert {\n\t\tiifname != { "lan0" } meta nfproto ipv4 udp dport { 69, 53 } return\n\t\tsocket wildcard 1'
    assert elsewhere in redirected
    handed_over = rules_of(*arguments)
    assert handed_over.count("jump intercept") == 2
    assert handed_over.count("tcp dport { 53 } tproxy ip to :8080") == 1
    assert handed_over.count("udp dport { 69, 53 } tproxy ip to :8080") == 1


def test_a_file(tmp_path: Path) -> None:
    """All transparent routes of a configuration, and no other; the routing of both IP versions beside them."""
    path = tmp_path / "alg.toml"
    path.write_text(CONFIG)
    rules = rules_of("-c", str(path), "--mark", "0x10", "--route-table", "77", "--table", "gateway")
    assert re.findall(r"nfproto (\w+) tcp dport { (.*) } tproxy \w+ to (\S+)", rules) == [
        ("ipv4", "21, 8000-8010", ":8080"),
        ("ipv6", "21", "[fd77:1::1]:8081"),
    ]
    assert "2121" not in rules
    assert rules.startswith("table inet gateway\ndelete table inet gateway\ntable inet gateway {\n")
    assert "0x00414c47" not in rules
    assert rules.count("meta mark set 0x00000010 accept") == 4
    assert commands_of("-c", str(path), "--mark", "0x10", "--route-table", "77") == [
        "ip -4 rule add priority 4147 fwmark 0x00000010 lookup 77",
        "ip -4 route add local default dev lo table 77",
        "ip -6 rule add priority 4147 fwmark 0x00000010 lookup 77",
        "ip -6 route add local default dev lo table 77",
    ]


def test_only_the_ip_version_that_is_wanted() -> None:
    """An IPv6 route touches nothing of IPv4."""
    arguments = ("transparent@[::]:8080", *FTP, *ALLOWED)
    assert "ipv4" not in rules_of(*arguments)
    assert commands_of(*arguments) == [
        "ip -6 rule add priority 4147 fwmark 0x00414c47 lookup 4147",
        "ip -6 route add local default dev lo table 4147",
    ]


def test_the_numbers_are_read_back() -> None:
    """What was installed is known by the table itself; a table of somebody else's is not."""
    plan = nft.Plan(
        (nft.Interception(Endpoint(parse_address("0.0.0.0"), 8080), (PortRange(21, 21),)),),
        numbers=nft.Numbers(0xABCDEF, 99),
    )
    assert nft.read_numbers(nft.script(plan)) == nft.Numbers(0xABCDEF, 99)
    assert nft.read_numbers("table inet alg {\n}\n") is None
    assert nft.read_numbers('table inet alg {\n\tcomment "somebody else"\n}\n') is None


PORTS = st.tuples(st.integers(1, 65535), st.integers(1, 65535)).map(lambda pair: PortRange(min(pair), max(pair)))
LISTENS = st.builds(Endpoint, st.ip_addresses(), st.integers(1, 65535))
PLANS = st.builds(
    nft.Plan,
    st.lists(
        st.builds(
            nft.Interception,
            LISTENS,
            st.lists(PORTS, min_size=1, max_size=4).map(tuple),
            st.sampled_from(Transport),
        ),
        min_size=1,
    ).map(tuple),
    st.sampled_from(nft.Intercept),
    st.lists(st.from_regex(r"[a-z0-9]{1,15}", fullmatch=True), max_size=3).map(tuple),
    numbers=st.builds(nft.Numbers, st.integers(1, 0xFFFFFFFF), st.integers(300, 0xFFFFFFFF)),
)


@given(PLANS)
def test_what_holds_for_all(plan: nft.Plan) -> None:
    """Only what comes in is intercepted, only where it begins, only if it is not for this host; braces match."""
    text = nft.script(plan)
    assert set(re.findall(r"hook (\w+)", text)) == {"prerouting"}
    assert text.count("{") == text.count("}")
    chosen = re.search("chain (intercept|translate)", text)
    assert chosen is not None
    for match in re.finditer(r"tproxy|redirect to|dnat", text):
        assert text.index("fib daddr type { local, broadcast, anycast, multicast } return") < match.start()
        assert match.start() > chosen.start()
    assert nft.read_numbers(text) == plan.numbers
    for command in nft.ip_commands(plan, "add"):
        assert command[1] in [f"-{each}" for each in plan.versions]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("ftp://203.0.113.2@0.0.0.0:2121",), "there is no transparent route"),
        ((), "no route"),
        (("transparent@0.0.0.0:8080", *ALLOWED), "say which, by --plugin"),
        (("transparent@0.0.0.0:0", *FTP, *ALLOWED), "write one in place of 0"),
        (("transparent@0.0.0.0:8080", "transparent@0.0.0.0:8081", *FTP, *ALLOWED), "port 21 is wanted by 0.0.0.0:8081"),
        (("transparent@0.0.0.0:69", "--plugin", "69=tftp", *ALLOWED), "listen at another port"),
        (("transparent@0.0.0.0:8080", *FTP, *ALLOWED, "--table", "a b"), "--table 'a b'"),
        (("transparent@0.0.0.0:8080", *FTP, *ALLOWED, "--interface", 'a"; drop'), "--interface"),
        (("transparent@0.0.0.0:8080", *FTP, *ALLOWED, "--mark", "0"), "--mark 0x0"),
        (("transparent@0.0.0.0:8080", *FTP, *ALLOWED, "--route-table", "254"), "--route-table 254"),
        (("--remove", "--table", "a;b"), "--table 'a;b'"),
    ],
)
def test_refused(arguments: tuple[str, ...], words: str) -> None:
    """One line names the cause and the mend; nothing is printed for `nft`."""
    result = alg_nft(*arguments)
    assert result.exit_code == 78
    assert result.stdout == ""
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_usage() -> None:
    """Numbers are numbers, and one thing at a time is done."""
    assert alg_nft("--mark", "x").exit_code == 2
    assert alg_nft("--apply", "--remove").exit_code == 2


def test_two_ip_versions_may_share_a_port() -> None:
    """A port leads to one listener for each."""
    routes = [nft.Interception(Endpoint(parse_address(each), 8080), (PortRange(21, 21),)) for each in ("::", "0.0.0.0")]
    assert nft.Plan(tuple(routes)).versions == (4, 6)
    with pytest.raises(ConfigError):
        nft.Plan((), table="")
