"""`python -m facepipe` is the command `facepipe`."""

from facepipe.cli import main

if __name__ == "__main__":
    main()
