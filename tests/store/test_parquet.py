import io
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from swath.store.parquet import read_frame, read_table

FRAME = pd.DataFrame(
    {"id": ["a", "ü", ""], "score": [0.1, np.nan, np.inf], "epoch": [1, 2, 3], "bad": [True, False, True]}
)


def written(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


def test_tables_come_back_as_pandas_reads_them() -> None:
    data = written(FRAME)
    pd.testing.assert_frame_equal(read_frame(data), pd.read_parquet(io.BytesIO(data)))
    some = read_frame(data, ["epoch", "id"])
    pd.testing.assert_frame_equal(some[["epoch", "id"]], FRAME[["epoch", "id"]])
    assert read_frame(written(pd.DataFrame())).empty


@pytest.mark.parametrize("data", [b"", b"PAR1", written(FRAME)[:-9]])
def test_what_is_no_whole_file_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # Arrow's own words
        read_table(data)


def test_a_missing_column_is_named() -> None:
    with pytest.raises(ValueError, match=r"no column fold; it has \['id', 'score', 'epoch', 'bad'\]"):
        read_table(written(FRAME), ["id", "fold"])


def test_reading_starts_no_thread_that_could_outlive_the_interpreter() -> None:
    code = """
import io, os, sys
import pandas as pd
from swath.store.parquet import read_frame
buffer = io.BytesIO()
pd.DataFrame({str(i): range(1000) for i in range(50)}).to_parquet(buffer)
before = len(os.listdir("/proc/self/task"))
read_frame(buffer.getvalue())
sys.exit(len(os.listdir("/proc/self/task")) - before)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
