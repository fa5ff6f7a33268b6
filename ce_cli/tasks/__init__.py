"""One file per task: from aligned rows to validated blocks, and from blocks to losses."""
