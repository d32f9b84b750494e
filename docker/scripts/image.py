"""image.py: what the scripts of the proof know of the image."""

import json
import os
from pathlib import Path

# The models by their paths in the image, as people call them: those of plan/models.ts, which a test compares.
MODELS = {
    "/app/models/shape_predictor_68_face_landmarks.dat": "shape predictor",
    "/app/models/codeformer/codeformer.pth": "CodeFormer",
    "/home/appuser/.u2net/u2net_human_seg.onnx": "u2net human seg",
}

# Documents of the image, by their paths in it: what was proven and what the image is made of, the same each time, and
# what was measured, which differs each time and so becomes a layer of its own.
RECORD = Path("usr/share/facecraft/proof.json")
CONTENTS = Path("usr/share/facecraft/contents.json")
MEASURED = Path("usr/share/facecraft/measured.json")
# Where the proof puts them together, as layers.
PROOF = Path("/tmp/proof")
MEASUREMENTS = Path("/tmp/measured")

# The time of all that a build writes, as settle-layer gives it.
SETTLED = 315532800


def write_document(file: Path, document: dict, folder: Path) -> None:
    """Writes a document into a layer. Its time is settled like that of the other layers."""
    target = folder / file
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(document, indent=1) + "\n")
    for path in (target, *(folder / parent for parent in file.parents)):
        os.utime(path, (SETTLED, SETTLED))
