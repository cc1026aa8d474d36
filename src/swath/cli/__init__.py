"""The `swath` command and the options of a sweep script."""
