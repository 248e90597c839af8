"""FTP (RFC 959, RFC 2428, RFC 2577): the endpoints of data connections become the gateway's own."""

from __future__ import annotations

from alg_ftp.config import FtpConfig
from alg_ftp.plugin import FtpPlugin

__all__ = ["FtpConfig", "FtpPlugin"]
