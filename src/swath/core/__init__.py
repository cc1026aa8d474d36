"""What all other packages of swath use: errors, registries, frozen descriptions, metrics, text, validation.

It imports none of them.
"""
