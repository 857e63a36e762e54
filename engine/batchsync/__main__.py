"""`python -m lading` is `lading`."""

from lading.cli import main

if __name__ == "__main__":
    main()
