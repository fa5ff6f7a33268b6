"""The command line: options to a report, a report to an output, an outcome to an exit code."""
