"""image.py: what the scripts of the proof know of the image."""

from pathlib import Path

# The models by their paths in the image, as people call them: those of plan/models.ts, which a test compares.
MODELS = {
    "/app/models/shape_predictor_68_face_landmarks.dat": "shape predictor",
    "/app/models/codeformer/codeformer.pth": "CodeFormer",
    "/home/appuser/.u2net/u2net_human_seg.onnx": "u2net human seg",
}

# Two documents of the image, by their paths in it: what was proven, the same each time, and what was measured,
# which differs each time. Each becomes a layer of its own.
RECORD = Path("usr/share/facecraft/proof.json")
MEASURED = Path("usr/share/facecraft/measured.json")
# Where the proof puts them together, as layers.
PROOF = Path("/tmp/proof")
MEASUREMENTS = Path("/tmp/measured")
