"""The first satellite study as it was run: three preprocessings, one network, one split."""

from dataclasses import replace
from typing import Any

from swath import Backbone, Sweep, holdout, losses, main, ops, recipes, tasks, union


def satellite_seed(data: str = "data/satellite", weights: str = "") -> Sweep:
    """Raw, sharpened and grayscale images with ResNet50, on the multi-label satellite task.

    The study's grayscale had one channel and no pretraining, so its cell differs in two things; a third cell, gray in
    three channels, tells colour from pretraining. Its scores per cell were not published.

    Args:
        data: Folder with train.csv, test.csv, sample_submission.csv and the images.
        weights: File of ImageNet weights for resnet50; empty takes them from the hub.
    """
    base = Sweep(
        name="satellite_seed",
        task=tasks.DaconSatellite(data),
        split=holdout(0.2, seed=0),
        # Linear(1000 -> labels) on the 1000 ImageNet logits, as the study had it.
        backbone=Backbone("resnet50", weights=weights, head="stacked"),
        loss=losses.BCE(),
        recipe=recipes.satellite_baseline,
    )
    return union(
        with_(base, "raw"),
        with_(base, "sharpen", preprocess=(ops.Sharpen(),)),
        with_(
            base,
            "grayscale, from scratch",
            preprocess=(ops.Grayscale(),),
            backbone=Backbone("resnet50", pretrained=False, head="stacked"),
        ),
        with_(base, "grayscale in three channels", preprocess=(ops.Grayscale(channels=3),)),
        name="satellite_seed",
    )


def with_(base: Sweep, label: str, **changes: Any) -> Sweep:
    """The base with another label and other fields."""
    return replace(base, label=label, **changes)


if __name__ == "__main__":
    main(satellite_seed)
