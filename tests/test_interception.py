"""`alg nft --apply` and `--remove` on a kernel, in a namespace of its own: all or nothing, and no trace."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOUR = ("transparent@0.0.0.0:8080", "--allow-upstream", "10.77.2.0/24", "--plugin", "21=ftp")
BOTH = (*FOUR, "transparent@[::]:8080", "--plugin", "8000-8010=http")

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("nft"),
    reason="the kernel's rules need root and the commands `ip` and `nft`",
)


class Host:
    """A namespace with nothing but loopback."""

    def __init__(self, name: str) -> None:
        self._enter = ("ip", "netns", "exec", name)

    def run(self, *command: str) -> str:
        """Run a command that must succeed."""
        return subprocess.run([*self._enter, *command], capture_output=True, text=True, check=True).stdout

    def alg_nft(self, *arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run `alg nft`, where wanted with another PATH."""
        command = [*self._enter, "env", *([f"PATH={path}"] if path is not None else [])]
        return subprocess.run(
            [*command, sys.executable, "-m", "alg", "nft", *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
        )

    def fine(self, *arguments: str) -> str:
        """As before; it must succeed, and say nothing on standard output."""
        done = self.alg_nft(*arguments)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        return done.stderr

    def refused(self, *arguments: str, path: str | None = None) -> str:
        """It must fail, and say why in one line."""
        done = self.alg_nft(*arguments, path=path)
        assert done.returncode == 1
        assert done.stderr.startswith("alg: ")
        assert len(done.stderr.splitlines()) == 1
        return done.stderr

    def state(self) -> str:
        """All rules and routes."""
        shown = self.run("nft", "list", "ruleset")
        for family in ("-4", "-6"):
            shown += self.run("ip", family, "rule") + self.run("ip", family, "route", "show", "table", "all")
        return shown


@pytest.fixture
def host() -> Iterator[Host]:
    """A fresh one, with a rule and a table of somebody else's."""
    name = f"alg-nft-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        host = Host(name)
        host.run("ip", "link", "set", "lo", "up")
        host.run("nft", "add table inet theirs; add chain inet theirs c { type filter hook input priority 0; }")
        host.run("ip", "rule", "add", "fwmark", "5", "lookup", "55")
        host.run("ip", "route", "add", "local", "10.9.9.0/24", "dev", "lo", "table", "55")
        yield host
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


@pytest.mark.parametrize("method", ["tproxy", "redirect"])
@pytest.mark.parametrize("routes", [FOUR, BOTH], ids=["IPv4", "both"])
def test_no_trace(host: Host, routes: tuple[str, ...], method: str) -> None:
    """Once or twice is the same; then it is gone, and all else is byte for byte as before."""
    before = host.state()
    host.fine(*routes, "--intercept", method, "--apply")
    once = host.state()
    assert "table inet alg {" in once
    assert once.count("fwmark 0x414c47 lookup 4147") == once.count("local default dev lo table 4147")
    assert once.count("fwmark 0x414c47 lookup 4147") == (1 if routes is FOUR else 2)
    host.fine(*routes, "--intercept", method, "--apply")
    assert host.state() == once
    host.fine("--remove")
    assert host.state() == before
    assert host.fine("--remove") == "alg: there is no table inet alg, nothing to remove\n"
    assert host.state() == before


def test_other_numbers_take_the_place_of_the_first(host: Host) -> None:
    """What was installed before goes, whatever its numbers and IP versions were."""
    before = host.state()
    host.fine(*BOTH, "--apply")
    host.fine(*FOUR, "--mark", "7", "--route-table", "88", "--apply")
    assert "4147\n" not in host.state().replace("4147:", "")
    host.fine("--remove")
    assert host.state() == before
    host.fine(*FOUR, "--mark", "7", "--route-table", "88", "--apply")
    once = host.state()
    host.fine(*BOTH, "--apply")
    host.fine(*FOUR, "--mark", "7", "--route-table", "88", "--apply")
    assert host.state() == once


def test_by_hand(host: Host, tmp_path: Path) -> None:
    """The page that is printed does the same, if a person follows it."""
    page = tmp_path / "page"
    page.write_text(host.alg_nft(*BOTH).stdout)
    before = host.state()
    host.fine(*BOTH, "--apply")
    applied = host.state()
    host.fine("--remove")
    host.run("nft", "-f", str(page))
    host.run("sh", "-c", f"sed -n 's/^# ip /ip /p' {page} | sh")
    assert host.state() == applied
    host.fine("--remove")
    assert host.state() == before


def test_two_beside_each_other(host: Host) -> None:
    """Another table with other numbers is another gateway's."""
    before = host.state()
    host.fine(*FOUR, "--apply")
    alone = host.state()
    host.fine(*BOTH, "--table", "second", "--mark", "9", "--route-table", "99", "--apply")
    host.fine("--remove", "--table", "second")
    assert host.state() == alone
    host.fine("--remove")
    assert host.state() == before


def test_what_is_not_ours_is_left_alone(host: Host) -> None:
    """A table of that name, or a routing table in use: refused, nothing changed."""
    before = host.state()
    for arguments in ((*FOUR, "--apply"), ("--remove",)):
        assert "is not ours" in host.refused(*arguments, "--table", "theirs")
    assert "routing table 55 is in use" in host.refused(*FOUR, "--route-table", "55", "--apply")
    assert host.state() == before
    host.fine(*FOUR, "--apply")
    once = host.state()
    assert "routing table 55 is in use" in host.refused(*FOUR, "--route-table", "55", "--apply")
    assert host.state() == once


def test_a_failure_halfway(host: Host) -> None:
    """The last step fails (no IPv6 route goes to a loopback that is down): all is as it was, also what was installed before."""
    host.run("ip", "link", "set", "lo", "down")
    before = host.state()
    assert "ip -6 route add" in host.refused(*BOTH, "--apply")
    assert host.state() == before
    host.run("ip", "link", "set", "lo", "up")
    host.fine(*FOUR, "--intercept", "redirect", "--mark", "7", "--route-table", "88", "--apply")
    host.run("ip", "link", "set", "lo", "down")
    host.run("ip", "route", "replace", "local", "default", "dev", "lo", "table", "88")
    installed = host.state()
    assert "ip -6 route add" in host.refused(*BOTH, "--apply")
    assert host.state() == installed


def test_no_programs(host: Host, tmp_path: Path) -> None:
    """One that is missing is named, with its package; nothing is left half done."""
    before = host.state()
    assert "install the package nftables" in host.refused(*FOUR, "--apply", path=str(tmp_path))
    (tmp_path / "nft").symlink_to(shutil.which("nft") or "")
    assert "install the package iproute2" in host.refused(*FOUR, "--apply", path=str(tmp_path))
    assert host.state() == before


def test_not_root(host: Host) -> None:
    """Who may not is told what to do."""
    before = host.state()
    prefix = ("setpriv", "--inh-caps=-all", "--bounding-set=-all", "--ambient-caps=-all")
    command = ["ip", "netns", "exec", f"alg-nft-{os.getpid()}", *prefix, sys.executable, "-m", "alg", "nft"]
    done = subprocess.run([*command, *FOUR, "--apply"], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 1
    assert done.stderr == "alg: nft may not change the kernel's rules: run this as root (CAP_NET_ADMIN)\n"
    assert host.state() == before
