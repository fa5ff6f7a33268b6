"""Pure NumPy functions: arrays in, per-sample losses out. Nothing here knows of files, options or reports."""
