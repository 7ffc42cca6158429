"""`python -m storyreel`: the command line."""

from storyreel.cli.main import entry

if __name__ == "__main__":
    entry()
