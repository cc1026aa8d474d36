"""Everything a user writes, as frozen values: sweep, grids, ops, losses, recipe, splits, search. Loads no torch."""
