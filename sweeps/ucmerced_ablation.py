"""Preprocessing on real aerial photographs, on features of a pretrained network: a study that a laptop runs."""

from swath import Backbone, Recipe, Sweep, grid, holdout, losses, main, ops, tasks


def ucmerced_ablation(
    data: str = "data/ucmerced",
    weights: str = "",
    epochs: int = 30,
    image_size: int = 224,
    seeds: int = 3,
) -> Sweep:
    """Raw, grayscale and sharpened input x two heads x two losses on the UC Merced multi-label set.

    The network stays as ImageNet made it. Labels are read off its pooled features, or off its 1,000 ImageNet logits.

    Args:
        data: Folder with labels.csv and images/.
        weights: File of ImageNet weights for tf_efficientnet_lite0; empty takes them from the hub.
        epochs: Passes over the features of the training images.
        image_size: Side of the model's input in pixels.
        seeds: Number of training seeds.
    """
    return Sweep(
        name="ucmerced_ablation",
        task=tasks.UCMerced(data),
        split=holdout(0.2, seed=0),
        preprocess=grid((), (ops.Grayscale(),), (ops.Sharpen(),)),
        backbone=Backbone("tf_efficientnet_lite0", weights=weights, head=grid("linear", "stacked")),
        loss=grid(losses.BCE(), losses.Asymmetric()),
        recipe=Recipe(
            epochs=epochs, batch_size=64, optimizer="adamw", lr=1e-3, image_size=image_size, freeze="backbone"
        ),
        seeds=tuple(range(seeds)),
    )


if __name__ == "__main__":
    main(ucmerced_ablation)
