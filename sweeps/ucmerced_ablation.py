"""Preprocessing on real aerial photographs with one small pretrained network: a study that a laptop can run."""

from swath import Backbone, Recipe, Sweep, grid, holdout, losses, main, ops, tasks


def ucmerced_ablation(
    data: str = "data/ucmerced",
    weights: str = "",
    epochs: int = 5,
    image_size: int = 128,
    seeds: int = 1,
) -> Sweep:
    """Raw, grayscale (one and three channels) and sharpened input on the UC Merced multi-label set.

    Args:
        data: Folder with labels.csv and images/.
        weights: File of ImageNet weights for tf_efficientnet_lite0; empty takes them from the hub.
        epochs: Passes over the training images.
        image_size: Side of the model's input in pixels.
        seeds: Number of training seeds.
    """
    return Sweep(
        name="ucmerced_ablation",
        task=tasks.UCMerced(data),
        split=holdout(0.2, seed=0),
        preprocess=grid((), (ops.Grayscale(),), (ops.Sharpen(),)),
        backbone=Backbone("tf_efficientnet_lite0", weights=weights),
        loss=losses.BCE(),
        recipe=Recipe(epochs=epochs, batch_size=32, optimizer="adam", lr=3e-4, image_size=image_size),
        seeds=tuple(range(seeds)),
    )


if __name__ == "__main__":
    main(ucmerced_ablation)
