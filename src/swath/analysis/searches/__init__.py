"""What a search found: effects along its ranges, what matters, the best so far, where to look next."""
