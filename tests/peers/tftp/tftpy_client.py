"""A client made of tftpy: `get|put HOST PORT REMOTE LOCAL [OPTION=VALUE …]`; run as a program of its own."""

import sys

import tftpy


def main() -> None:
    """Move one file; an error of the server's ends with its text and status 1."""
    direction, host, port, remote, local, *words = sys.argv[1:]
    options: dict[str, int] = {}
    for word in words:
        name, _, value = word.partition("=")
        options[name] = int(value)
    client = tftpy.TftpClient(host, int(port), options)
    try:
        if direction == "get":
            client.download(remote, local)
        else:
            client.upload(remote, local)
    except tftpy.TftpShared.TftpException as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
