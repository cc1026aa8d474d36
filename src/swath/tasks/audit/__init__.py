"""Is the data sound? Duplicates, leaks, labels and image files that cannot be right."""
