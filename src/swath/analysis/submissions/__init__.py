"""Submission files: written from an ensemble, blended, and kept with the scores that a competition gave them."""
