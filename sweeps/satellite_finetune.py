"""A submission on two cores in an hour: a small network fine-tuned with care on raw and sharpened images, averaged."""

from swath import Backbone, Recipe, Sweep, augment, grid, holdout, losses, main, ops, schedules, tasks


def satellite_finetune(
    data: str = "data/satellite", weights: str = "", epochs: int = 6, image_size: int = 192, seeds: int = 2
) -> Sweep:
    """Raw and sharpened input, all symmetries of the square in training and in prediction.

    Args:
        data: Folder with train.csv, test.csv, sample_submission.csv and the images.
        weights: File of ImageNet weights for tf_efficientnet_lite0; empty takes them from the hub.
        epochs: Passes over the training images.
        image_size: Side of the model's input in pixels.
        seeds: Number of training seeds.
    """
    return Sweep(
        name="satellite_finetune",
        task=tasks.DaconSatellite(data),
        split=holdout(0.1, seed=0),
        preprocess=grid((), (ops.Sharpen(),)),
        backbone=Backbone("tf_efficientnet_lite0", weights=weights),
        loss=losses.BCE(),
        recipe=Recipe(
            epochs=epochs,
            batch_size=32,
            optimizer="adamw",
            lr=1e-3,
            weight_decay=1e-2,
            image_size=image_size,
            schedule=schedules.OneCycle(),
            augment=(augment.HorizontalFlip(), augment.VerticalFlip(), augment.Transpose()),
            tta="d4",
        ),
        seeds=tuple(range(seeds)),
    )


if __name__ == "__main__":
    main(satellite_finetune)
