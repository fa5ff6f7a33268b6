"""Is the number good, and why: what is asked of the scored rows beside the figures of the task."""
