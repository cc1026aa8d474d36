"""Detectors, their training, boxes and crops. The only folder that touches ultralytics."""
