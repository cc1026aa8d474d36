"""The satellite study: does sharpening help, or grayscale hurt, and does that depend on backbone and loss?"""

from swath import Recipe, Sweep, asha, grid, holdout, losses, main, ops, tasks


def satellite_ablation(data: str = "data/satellite") -> Sweep:
    """Preprocessing x backbone x loss on the multi-label satellite task (DACON 236201 layout).

    Args:
        data: Folder with train.csv, test.csv, sample_submission.csv and the images.
    """
    return Sweep(
        name="satellite_ablation",
        task=tasks.DaconSatellite(data),
        split=holdout(0.2, seed=0),
        preprocess=grid((), (ops.Grayscale(),), (ops.Sharpen(),)),
        backbone=grid("resnet50", "convnext_tiny", "tf_efficientnetv2_s", "coatnet_0_rw_224"),
        loss=grid(losses.BCE(), losses.Focal(gamma=2.0), losses.Asymmetric(gamma_neg=4.0, gamma_pos=1.0, clip=0.05)),
        recipe=Recipe(epochs=20, batch_size=32, optimizer="adam", lr=3e-4, image_size=224),
        seeds=(0, 1, 2),
        stop=asha(grace_epochs=3, reduction=3),
    )


if __name__ == "__main__":
    main(satellite_ablation)
