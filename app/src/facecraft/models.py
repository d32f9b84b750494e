"""The three models: opened and hashed once at start, in the background."""

import hashlib
import threading
from dataclasses import dataclass, field
from pathlib import Path

from facecraft import settings


@dataclass
class Model:
    path: Path
    sha256: str | None = None
    error: str | None = None

    def load(self) -> None:
        try:
            with self.path.open("rb") as file:
                self.sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            self.error = f"{self.path}: {error.strerror}"

    def state(self) -> str:
        return self.error or (f"sha256:{self.sha256}" if self.sha256 else "loading")


@dataclass
class Models:
    by_name: dict[str, Model] = field(default_factory=dict)

    @classmethod
    def configured(cls) -> "Models":
        return cls(
            {
                "shapePredictor": Model(settings.models_dir() / "shape_predictor_68_face_landmarks.dat"),
                "codeformer": Model(settings.models_dir() / "codeformer" / "codeformer.pth"),
                "u2net": Model(settings.u2net_dir() / "u2net_human_seg.onnx"),
            }
        )

    def load_in_background(self) -> None:
        for model in self.by_name.values():
            threading.Thread(target=model.load, daemon=True).start()

    def ready(self) -> bool:
        return all(model.sha256 for model in self.by_name.values())

    def states(self) -> dict[str, str]:
        return {name: model.state() for name, model in self.by_name.items()}
