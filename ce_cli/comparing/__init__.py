"""Several models on the same rows: who takes part, how their rows pair, and what the differences say."""
