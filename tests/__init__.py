"""Tests, the peer lab, the benchmarks, the demo. Nothing in here is installed."""
