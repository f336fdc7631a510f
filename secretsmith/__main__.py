"""``python -m secretsmith`` is the ``secretsmith`` program."""

from secretsmith.cli.door import main

if __name__ == "__main__":
    raise SystemExit(main())
