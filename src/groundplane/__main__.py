"""``python -m groundplane``."""

from groundplane.cli import main

if __name__ == "__main__":
    main()
