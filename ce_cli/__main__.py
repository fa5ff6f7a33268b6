"""`python -m ce_cli` and the `ce-eval` command."""

from __future__ import annotations


def main() -> None:
    """Run the command and leave the process with its exit code."""
    import sys

    from ce_cli.cli import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
