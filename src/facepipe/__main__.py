"""`python -m facepipe` is the command `facepipe`."""

from facepipe.cli.main import main

if __name__ == "__main__":
    main()
