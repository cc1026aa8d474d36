"""`python -m swath`: the `swath` command."""

from swath.cli.main import command

command()
