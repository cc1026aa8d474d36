"""The pictures of a report, each as PNG and SVG."""
