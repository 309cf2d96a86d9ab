"""Reading .npz files as if they came from anywhere: nothing in them is run, and damage is noticed before it is data.

`np.load` compares the checksum of an array only when it reads that array to its end; a header that has come to say
fewer numbers than there are hides the rest. Here every checksum is compared before anything is parsed.
"""

from __future__ import annotations

import io
import os
import warnings
import zipfile
from pathlib import Path

import numpy as np


def read(path: str | os.PathLike, what: str, mend: str) -> dict[str, np.ndarray]:
    """All arrays of a file, whole and unchanged, or an error that names it.

    what: what kind of file is expected there.  mend: what to do about a damaged one.
    Raises FileNotFoundError if there is none, ValueError if it cannot be read.
    """
    shown = os.fspath(path)
    if not os.path.lexists(path):
        raise FileNotFoundError(f"no file {os.path.abspath(shown)}, expected {what}")
    try:
        if not Path(path).is_file():                                      # a folder; a pipe would wait for ever
            raise ValueError("not a file")
        with zipfile.ZipFile(path) as z:
            if twice := {name for name in z.namelist() if z.namelist().count(name) > 1}:
                raise ValueError(f"it holds {', '.join(sorted(twice))} twice")
            return {name[:-4]: _parse(z.read(name)) for name in z.namelist() if name.endswith(".npy")}
    except Exception as e:                                      # a damaged zip fails in a dozen ways: all mean the same
        raise ValueError(f"{shown} cannot be read as {what}: it is cut short, damaged, holds pickled objects or is "
                         f"something else ({type(e).__name__}: {e}); {mend}") from e


def _parse(content: bytes) -> np.ndarray:
    """One .npy; `content` has met its checksum already."""
    file = io.BytesIO(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")                                    # a header odd enough for a warning is damage
        x = np.lib.format.read_array(file, allow_pickle=False)
    if file.read(1):
        raise ValueError("an array is longer than its header says")
    return x
