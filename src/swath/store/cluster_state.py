"""What the cluster of a running sweep is doing: written to the store by the driver, read by the dashboard."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from swath.core.errors import StoreError
from swath.store.json_files import SCHEMA, read_record, write_record
from swath.store.layout import sweep_key
from swath.store.storage import Storage

SILENT_S = 60.0
"""A state that is older than this is that of a driver that was lost: one that ends takes its state back."""


@dataclass(frozen=True)
class ClusterState:
    """A moment of a cluster.

    Attributes:
        in_use: Resource to how many of it tasks and trials hold: `CPU`, and `GPU` where there are any.
        total: Resource to how many of it there are.
        nodes: Nodes that are alive.
        nodes_lost: Nodes that were part of the cluster and are gone.
        dashboard: URL of Ray's own dashboard; "" for none.
        written: When it was looked at, in seconds since 1970.
        schema: Of the record; see `swath.store.json_files`.
    """

    in_use: Mapping[str, float]
    total: Mapping[str, float]
    nodes: int
    nodes_lost: int = 0
    dashboard: str = ""
    written: float = field(default_factory=time.time)
    schema: int = SCHEMA

    @property
    def silent_s(self) -> float:
        """Seconds since the driver last wrote, beyond what is usual; 0 while all is well."""
        age = time.time() - self.written
        return age if age > SILENT_S else 0.0


def write_state(storage: Storage, sweep: str, state: ClusterState) -> None:
    """Replace the state of a sweep's cluster."""
    write_record(storage, _key(sweep), state)


def forget_state(storage: Storage, sweep: str) -> None:
    """The sweep works on no cluster any more."""
    storage.delete(_key(sweep))


def read_state(storage: Storage, sweep: str) -> ClusterState | None:
    """The last state of a sweep's cluster; None where it works on none, or where what was written cannot be read."""
    try:
        return read_record(storage, _key(sweep), ClusterState)
    except StoreError:  # of another version of swath, or half written: a page does without
        return None


def _key(sweep: str) -> str:
    return sweep_key(sweep, "cluster.json")
