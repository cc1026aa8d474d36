"""Models that preprocessing ops use: super-resolution and detectors of what to crop."""
