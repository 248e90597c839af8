"""What fails without any gateway, and why: cells that a gateway need not mend.

`python -m tests.peers.tls --gateway direct` makes these transfers too; one that works there makes the
run fail, unless it is a matter of chance, so the list stays honest.
"""

from __future__ import annotations

from .plan import Pattern

KNOWN = (
    # Its log shows PROT P accepted and the connection taken; the wire shows not one byte of TLS on it.
    Pattern(
        "curl 7.88 starts no TLS on a data connection that it accepts",
        client="curl",
        protection="P",
        mode="active",
    ),
    # The server answers 522 (vsftpd) or 425 (ProFTPD).
    Pattern(
        "FTP_TLS begins a new TLS session for each data connection, the server demands the control connection's",
        server="vsftpd proftpd",
        client="ftplib",
        protection="P",
    ),
    # Its `_dataconn` passes SSL_session_key, the host's name, in active mode only.
    Pattern(
        "Net::FTP 3.14 looks for the session under the data connection's port, the server demands the control "
        "connection's",
        server="vsftpd proftpd",
        client="net-ftp",
        protection="P",
        mode="passive",
    ),
    # The kernel counts TCPAbortOnClose in the client's namespace: the end of the file may never arrive.
    Pattern(
        "Net::FTP 3.14 closes before it has read the session tickets of TLS 1.3, which resets the connection",
        client="net-ftp",
        protection="P",
        version="1.3",
        direction="upload",
        by_chance=True,
    ),
)
