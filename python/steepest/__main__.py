"""``python -m steepest`` is ``steepest``."""

from steepest.cli import main

if __name__ == "__main__":
    main()
