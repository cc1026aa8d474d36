"""Parquet tables from bytes in memory."""

from collections.abc import Sequence

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq


def read_table(data: bytes, columns: Sequence[str] | None = None) -> pa.Table:
    """The table of a Parquet file's content, read by this thread alone.

    Arrow's threads may let go of a Python object after the interpreter has ended, which aborts the process: a sweep
    that had succeeded would then be reported as failed.

    Args:
        data: The file's content.
        columns: Which; None takes all.

    Raises:
        ValueError: No whole Parquet file, or one without these columns.
    """
    file = pq.ParquetFile(pa.BufferReader(data))
    missing = sorted(set(columns or ()) - set(file.schema_arrow.names))
    if missing:
        raise ValueError(f"a parquet file has no column {', '.join(missing)}; it has {file.schema_arrow.names}")
    return file.read(columns=list(columns) if columns is not None else None, use_threads=False)


def read_frame(data: bytes, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """The same as pandas has it."""
    return read_table(data, columns).to_pandas(use_threads=False)
