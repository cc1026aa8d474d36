"""Ray's resources and nodes, written to the store while a driver works, for `swath dashboard`."""

import contextlib
from collections.abc import Iterator

from swath.store.cluster_state import ClusterState, forget_state, write_state
from swath.store.lease import repeated
from swath.store.storage import Storage

BEAT_S = 2.0
_COUNTED = ("CPU", "GPU")


def current_state(dashboard: str = "") -> ClusterState:
    """State of the cluster that this process is connected to.

    Args:
        dashboard: URL of Ray's own dashboard; "" for none.
    """
    import ray

    total, free = ray.cluster_resources(), ray.available_resources()  # resources of which none is free are not listed
    alive = [bool(node["Alive"]) for node in ray.nodes()]
    return ClusterState(
        in_use={name: round(total[name] - free.get(name, 0.0), 2) for name in _COUNTED if name in total},
        total={name: total[name] for name in _COUNTED if name in total},
        nodes=sum(alive),
        nodes_lost=len(alive) - sum(alive),
        dashboard=dashboard,
    )


@contextlib.contextmanager
def publish_cluster_state(storage: Storage, sweep: str, dashboard: str = "") -> Iterator[None]:
    """Keep the state of the cluster in the store while the block runs, and delete it after.

    Args:
        storage: The store.
        sweep: Name of the sweep that works on the cluster.
        dashboard: URL of Ray's own dashboard; "" for none.
    """
    try:
        with repeated(lambda: write_state(storage, sweep, current_state(dashboard)), BEAT_S):
            yield
    finally:
        with contextlib.suppress(OSError):
            forget_state(storage, sweep)
