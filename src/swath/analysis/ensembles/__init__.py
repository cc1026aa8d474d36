"""Ensembles of runs, chosen on some images and scored on others; thresholds and calibration."""
