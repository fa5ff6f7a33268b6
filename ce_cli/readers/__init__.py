"""From files and in-memory data to record batches, one file per format; `align.py` pairs predictions with labels."""
