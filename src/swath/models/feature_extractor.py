"""Images to features, by a backbone that does not learn."""

import numpy as np
import torch
from numpy.typing import NDArray

from swath.models import backbones
from swath.models.backbones import Model
from swath.models.device import device_of, prepare
from swath.preprocess.cache.features import FeatureShard

BATCH_SIZE = 32


class Extractor:
    """The models of feature entries, of which the last one is kept for the next shard.

    Args:
        gpus: Of this process, as in `device_of`.
    """

    def __init__(self, gpus: float | None = None) -> None:
        self._device = device_of(gpus)
        self._share = gpus or 1
        self._model = ""
        self._body: Model | None = None

    def _load(self, shard: FeatureShard) -> Model:
        if self._body is None or self._model != shard.model:
            torch.set_num_threads(shard.threads)
            prepare(self._device, self._share, deterministic=False)
            self._body = backbones.body(shard.backbone, shard.in_chans, shard.image_size, shard.seed)
            self._body.net.to(self._device)
            self._model = shard.model
        return self._body

    @torch.no_grad()
    def __call__(self, shard: FeatureShard, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Images uint8 [N, S, S, C] to features [N, F].

        Raises:
            InputError: The model cannot be built, or does not end in one linear layer.
        """
        body = self._load(shard)
        features = []
        for start in range(0, len(images), BATCH_SIZE):
            batch = torch.from_numpy(images[start : start + BATCH_SIZE]).to(self._device)
            features.append(body.net(body.inputs(batch)).float().cpu().numpy())
        return np.concatenate(features)
