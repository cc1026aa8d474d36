"""Models that turn images into images or crops: what the expensive ops of a chain need. May import torch, not Ray."""
