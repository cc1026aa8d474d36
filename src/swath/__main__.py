"""`python -m swath`: the `swath` command."""

from swath.cli.main import command

if __name__ == "__main__":
    command()
