"""Negative controls: each seeded fault of our code must turn the tests of its threat red. Run `python -m tests.mutants`."""
