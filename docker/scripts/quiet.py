#!/venv/bin/python
"""quiet.py IMPORTS: whether the packages ask the network when they are used, and in the ten seconds after.

Libraries call late: onnxruntime's first attempt came six seconds after its first session. The application itself is
watched until its portrait is answered (boot.py); what its packages do later does not change with its code, so this
looks at the modules that it imports, and at a session of each bundled ONNX model.
"""

import contextlib
import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import network
from failed import Failed, tell
from image import MODELS

SECONDS = 10
# What the start of the image copies to where numba looks for it (serve).
COMPILED = Path("/usr/share/facecraft/numba")
# For boot.py, which writes the record.
FOUND = Path("/tmp/quiet.json")


def use(imports: str) -> None:
    """What cannot be imported or opened is passed over: whether the application needs it is for its boot to show."""
    shutil.copytree(COMPILED, os.environ["NUMBA_CACHE_DIR"], dirs_exist_ok=True)
    for module in Path(imports).read_text().split():
        with contextlib.suppress(Exception):
            importlib.import_module(module)
    for model in (file for file in MODELS if file.endswith(".onnx")):
        with contextlib.suppress(Exception):
            importlib.import_module("onnxruntime").InferenceSession(model, providers=["CPUExecutionProvider"])


def watch(command: list[str], environment: Mapping[str, str], allowed: bool) -> list[str]:
    """Runs something; returns a sentence when it tried to leave the image."""
    with tempfile.TemporaryDirectory() as folder:
        asks = network.Watch(Path(folder))
        subprocess.run(command, env=asks.environment(environment), capture_output=True, check=False)
        who, until = "what the application imports", f"within {SECONDS} s of being imported"
        return list(network.check_network(asks.attempts(), asks.asked(), allowed, who, until))


def main(imports: str, environment: Mapping[str, str]) -> int:
    if environment["SMOKE_TEST"] == "0":
        FOUND.write_text(json.dumps({"network": "off"}))
        return 0
    allowed = environment["PROOF_NETWORK"] == "allowed"
    try:
        sentences = watch([sys.executable, __file__, "--use", imports], environment, allowed)
    except Failed as failure:
        sentences, allowed = [str(failure)], False
    FOUND.write_text(json.dumps({"network": "asked" if sentences else "silent"}))
    if not allowed:
        return 1 if tell(sentences) else 0
    for sentence in sentences:
        print("proof: warning:", sentence, file=sys.stderr)
    return 0


if __name__ == "__main__":
    if sys.argv[1] == "--use":
        use(sys.argv[2])
        time.sleep(SECONDS)
    else:
        sys.exit(main(sys.argv[1], os.environ))
