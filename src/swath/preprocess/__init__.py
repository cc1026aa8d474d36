"""What preprocessing ops do to pixels, and the cache of their results."""
