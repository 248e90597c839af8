"""OpenSSL's own tool, as a second opinion on certificates and as somebody else who makes them."""

from __future__ import annotations

import shutil
import subprocess

import pytest

TOOL_SECONDS = 30.0
"""The longest that one call may take: to make an RSA key needs a while."""

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="the tool openssl is not installed")


def openssl(*arguments: str, given: bytes = b"") -> bytes:
    """Run `openssl ARGUMENTS` with that input, and return what it prints."""
    command = ["openssl", *arguments]
    return subprocess.run(command, input=given, check=True, capture_output=True, timeout=TOOL_SECONDS).stdout
