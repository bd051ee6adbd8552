"""`python -m live_digits` is the command `live-digits`."""

from live_digits.cli import main

if __name__ == "__main__":
    main()
