"""How the gateway gets into mitmproxy, and that the daemon does without."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent


def output(*command: str) -> str:
    """What a command prints."""
    ran = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@contextmanager
def started(*command: str, until: str) -> Iterator[list[str]]:
    """A program that runs until it has said this; what it said so far."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        said: list[str] = []
        try:
            assert process.stdout is not None
            for line in process.stdout:
                said.append(line)
                if until in line:
                    yield said
                    break
            else:
                pytest.fail("".join(said))
        finally:
            process.terminate()
            assert process.wait(timeout=20) == 0


def test_the_daemon_never_imports_mitmproxy() -> None:
    """Nor does the command line, although it knows where the script is."""
    code = (
        "import sys, alg.cli, alg.daemon, alg.explain; "
        "assert not any(name.split('.')[0] in ('mitmproxy', 'OpenSSL') for name in sys.modules)"
    )
    output(sys.executable, "-c", code)


def test_script(tmp_path: Path) -> None:
    """`mitmdump -s` takes what `alg mitm-path` prints."""
    script = output(str(BIN / "alg"), "mitm-path").strip()
    assert Path(script).is_file()
    mode = "reverse:tcp://127.0.0.1:21@127.0.0.1:0"
    with started(
        *(str(BIN / "mitmdump"), "-s", script, "--mode", mode, "--set", f"confdir={tmp_path}"), until="listening"
    ) as said:
        assert script in said[0]


def test_wrapper(tmp_path: Path) -> None:
    """The same in one word, and an option of ours is known by then."""
    mode = "reverse:tcp://127.0.0.1:21@127.0.0.1:0"
    command = [str(BIN / "alg-mitmdump"), "--mode", mode, "--set", f"confdir={tmp_path}"]
    with started(*command, "--set", "alg_data_preview=1", until="listening"):
        pass


def test_wrong_option(tmp_path: Path) -> None:
    """mitmproxy says what is wrong and exits."""
    command = [str(BIN / "alg-mitmdump"), "--set", f"confdir={tmp_path}", "--set", "alg_plugins=21=sip"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert ran.returncode != 0
    assert "there is no plugin 'sip'" in ran.stdout + ran.stderr
    assert "Traceback" not in ran.stdout + ran.stderr
