"""Drawn tasks, which need no download."""
