"""Carrying a plan out: inline in one process, or on Ray. The only folder that imports ray."""
