"""The report of a sweep, from its store alone: leaderboard, ensembles, pictures, submission."""
