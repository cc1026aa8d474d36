"""One trial: data set, augmentation, losses, optimizers, the training loop, test-time augmentation."""
