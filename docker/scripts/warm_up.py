#!/venv/bin/python
"""warm_up.py IMPORTS: imports what the application will, so that numba compiles for NUMBA_CACHE_DIR what it would then.

A module that cannot be imported is passed over: an application may do without, and its boot shows whether it can.
"""

import contextlib
import importlib
import os
import sys
from pathlib import Path


def main(imports: str) -> None:
    # The folder is there, though nothing compiles: so there is something to copy.
    Path(os.environ["NUMBA_CACHE_DIR"]).mkdir(parents=True)
    for module in Path(imports).read_text().split():
        with contextlib.suppress(Exception):
            importlib.import_module(module)


if __name__ == "__main__":
    main(sys.argv[1])
