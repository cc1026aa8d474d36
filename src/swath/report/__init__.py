"""Words and pictures of what `swath.analysis` computed: Markdown, page, plots, JSON, dashboard."""
