"""`python -m ce_cli` and the `ce-eval` command."""

from __future__ import annotations


def main() -> None:
    """Run the command and leave the process with its exit code."""
    import gc
    import os
    import sys

    # What is imported stays: looking for garbage among it took 10 ms of the start.
    gc.set_threshold(200_000)

    # The work is spread over threads already: a second pool inside each matrix product only costs time and memory.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from ce_cli.cli.main import run
    from ce_cli.process import leave

    leave(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
