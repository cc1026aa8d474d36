"""Carrying a plan out: caches first, then the trials that the store lacks. The same for every engine."""
