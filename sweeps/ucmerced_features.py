"""A grid on frozen features of real aerial photographs: what is left to choose when the backbone stays as it is."""

from swath import Backbone, Recipe, Sweep, grid, holdout, losses, main, tasks


def ucmerced_features(data: str = "data/satellite", weights: str = "", epochs: int = 40, seeds: int = 2) -> Sweep:
    """Loss x learning rate x weight decay on features that are computed once, by a network that does not learn.

    Args:
        data: Folder in the satellite competition's layout.
        weights: File of ImageNet weights for tf_efficientnet_lite0; empty takes them from the hub.
        epochs: Passes over the features.
        seeds: Number of training seeds.
    """
    return Sweep(
        name="ucmerced_features",
        task=tasks.DaconSatellite(data),
        split=holdout(0.2, seed=0),
        backbone=Backbone("tf_efficientnet_lite0", weights=weights),
        loss=grid(losses.BCE(), losses.Focal(gamma=2.0), losses.Asymmetric()),
        recipe=Recipe(
            epochs=epochs,
            batch_size=64,
            optimizer="adamw",
            lr=grid(1e-3, 3e-3),
            weight_decay=grid(0.0, 0.1),
            image_size=224,
            freeze="backbone",
        ),
        seeds=tuple(range(seeds)),
    )


if __name__ == "__main__":
    main(ucmerced_features)
