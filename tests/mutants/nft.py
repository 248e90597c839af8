"""The seeded faults of interception: what the kernel is told, and what is left of it. `T15` is the threat table's row of loops."""

from __future__ import annotations

from tests.mutants.table import Mutant, left_out

NFT, INTERCEPTION = "alg/nft.py", "alg/interception.py"
TEXT, KERNEL = "tests/test_nft.py", "tests/test_interception.py"

NFT_MUTANTS = (
    Mutant(
        "nft: a port that was dialled from cannot be listened at",
        "nft",
        "alg/relay/sockets.py",
        "            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n        if source is not None:",
        "        if source is not None:",
        ("tests/relay/test_transparent_sockets.py",),
    ),
    Mutant(
        "nft: the gateway's own addresses are intercepted by TPROXY",
        "T15",
        NFT,
        "\tchain intercept {{\n\t\t{_NOT_FOR_US}",
        "\tchain intercept {{",
        (TEXT,),
    ),
    Mutant(
        "nft: the gateway's own addresses are intercepted by REDIRECT",
        "T15",
        NFT,
        "return\n\t\t{_NOT_FOR_US}",
        "return",
        (TEXT,),
    ),
    Mutant(
        "nft: what the gateway sends is intercepted",
        "T15",
        NFT,
        "type nat hook prerouting priority dstnat;",
        "type nat hook output priority -100;",
        (TEXT,),
    ),
    Mutant(
        "nft: data for our listeners is redirected",
        "nft",
        NFT,
        "meta mark {plan.numbers.mark:#010x} return",
        "",
        (TEXT,),
    ),
    Mutant(
        "nft: the main listener answers in anybody's name", "nft", NFT, "\t\tsocket wildcard 1 return\n", "", (TEXT,)
    ),
    Mutant("nft: answers are intercepted", "nft", NFT, "(syn | ack) == syn", "(syn | ack) != fin", (TEXT,)),
    Mutant(
        "nft: clients pass by a gateway that does not run",
        "nft",
        NFT,
        'yield f"{each.chosen} goto closed"',
        'yield f"{each.chosen} accept"',
        (TEXT,),
    ),
    Mutant("nft: every interface", "nft", NFT, 'if names else ""', 'if not names else ""', (TEXT,)),
    left_out("nft: an interface may be anything", "nft", NFT, "not _INTERFACE.fullmatch(interface)", (TEXT,)),
    left_out("nft: a table may be anything", "nft", NFT, "not _TABLE_NAME.fullmatch(name)", (TEXT,)),
    left_out(
        "nft: a system's routing table",
        "nft",
        NFT,
        "not 1 <= self.route_table <= 0xFFFFFFFF or self.route_table in _RESERVED_TABLES",
        (TEXT,),
    ),
    left_out("nft: somebody else's table is replaced", "nft", INTERCEPTION, "numbers is None", (KERNEL,)),
    left_out("nft: somebody else's routing table is used", "nft", INTERCEPTION, "old != plan.numbers", (KERNEL,)),
    Mutant(
        "nft: a failure leaves the rules",
        "nft",
        INTERCEPTION,
        '        undo.callback(_run, ["nft", "-f", "-"], _restoring(plan.table, before))\n',
        "",
        (KERNEL,),
    ),
    Mutant(
        "nft: a failure leaves the routing",
        "nft",
        INTERCEPTION,
        '    undo.callback(_run, routing(version, numbers, "del")[which])\n',
        "",
        (KERNEL,),
    ),
    Mutant(
        "nft: a failure takes what was installed before",
        "nft",
        INTERCEPTION,
        "{before or ''}",
        "",
        (KERNEL,),
    ),
    Mutant(
        "nft: the rules go and the routing stays",
        "nft",
        INTERCEPTION,
        "        for each in _routing_there(old):\n            _delete(each, undo)\n",
        "",
        (KERNEL,),
    ),
)
