"""What the page says of each section of a report: one module for each, with a function `lines`."""
