"""Every number of a report, computed from the store: scores, effects, ensembles, submissions. Writes no words."""
