"""TFTP: lets a transfer pass whose server answers from another port, and only what belongs to it."""

from __future__ import annotations

from alg_tftp.plugin import TftpConfig, TftpPlugin

__all__ = ["TftpConfig", "TftpPlugin"]
