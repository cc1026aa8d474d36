"""Finding objects in images: labels by a large detector, a small one fine-tuned on them, crops. Ray is elsewhere."""
