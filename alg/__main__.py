"""`python -m alg`."""

from alg.cli import main

main(prog_name="alg")
