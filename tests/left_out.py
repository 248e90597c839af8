"""`python -m tests.left_out`: says what `make test` did not run on this machine, and how to run it."""

from __future__ import annotations

import os
import shutil


def main() -> None:
    """Print one line for each thing that was left out."""
    missing = [] if os.geteuid() == 0 else ["root"]
    missing += [tool for tool in ("ip", "nft") if shutil.which(tool) is None]
    need = f"; it needs {', '.join(missing)}" if missing else ""
    print(f"left out: real FTP servers and clients in network namespaces: make peers{need}")
    print("left out: seeded defects that must turn the tests red: make mutants")
    print(f"left out: benchmarks against HAProxy, kernel NAT, ftp-proxy, mod_proxy, nginx, mitmproxy: make bench{need}")


if __name__ == "__main__":
    main()
