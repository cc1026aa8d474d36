"""Rows joined into groups by what they share: a group of the source, an identical file, a near duplicate."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def joined(*names: Sequence[str]) -> NDArray[np.int64]:
    """Group index of each row: rows that share a name in any of the columns, directly or through other rows.

    Args:
        names: Columns of equal length; "" joins nothing.
    """
    n = len(names[0])
    links = [pd.factorize(pd.Series([name or f"\0row {i}" for i, name in enumerate(column)]))[0] for column in names]
    offsets = np.cumsum([n, *(link.max(initial=-1) + 1 for link in links)])
    heads = np.concatenate([link + offset for link, offset in zip(links, offsets, strict=False)])
    return _components(heads, np.tile(np.arange(n), len(links)), int(offsets[-1]))[:n]


def linked(n: int, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Group index of each of `n` rows: rows of a pair [m, 2] are in one group."""
    return _components(pairs[:, 0], pairs[:, 1], n)


def _components(heads: NDArray[np.int64], tails: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    from scipy.sparse import coo_matrix  # a third of the time that `import swath` would take
    from scipy.sparse.csgraph import connected_components

    graph = coo_matrix((np.ones(len(heads), np.int8), (heads, tails)), shape=(n, n))
    return connected_components(graph, directed=False)[1].astype(np.int64)
