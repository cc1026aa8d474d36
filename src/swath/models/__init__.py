"""Networks: backbones of timm and transformers, models that ops use, object detectors."""
