"""Benchmarks: the gateway beside HAProxy, the kernel's NAT and other FTP gateways, in one interleaved run."""
