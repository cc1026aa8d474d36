"""Submission files: written from an ensemble, blended, and kept with what a competition said of them."""
