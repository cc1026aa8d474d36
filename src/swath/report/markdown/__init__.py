"""`leaderboard.md` and the other Markdown files, a module for each group of sections."""
