"""Results of preprocessing, computed once: entries of images and of features, read with their checksums."""
