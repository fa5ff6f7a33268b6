"""One file per output: each turns a report, an error or a state of progress into text."""
