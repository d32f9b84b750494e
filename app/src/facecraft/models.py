"""The three models: loaded once at start, in the background."""

import hashlib
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facecraft import settings


@dataclass
class Model:
    """A model that nothing here computes with: it is read to its end."""

    title: str
    path: Path
    sha256: str | None = None
    error: str | None = None

    def load(self) -> None:
        try:
            self.open()
            with self.path.open("rb") as file:
                self.sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        except Exception as error:
            self.error = f"{self.path}: {getattr(error, 'strerror', None) or error}"

    def open(self) -> None:
        """What loading it takes besides."""

    def pin(self) -> str | None:
        """The sha256 that the file must have. The build of an image leaves it beside its records; else nobody knows."""
        try:
            return (settings.records_dir() / "models" / f"{self.path.name}.sha256").read_text().split()[0]
        except (OSError, IndexError):
            return None

    def size(self) -> int | None:
        """Of the file, in bytes; None where there is none."""
        try:
            return self.path.stat().st_size
        except OSError:
            return None

    def describe(self) -> dict[str, str | int | None]:
        """What the page at / shows of it."""
        return {
            "title": self.title,
            "file": str(self.path),
            "sizeBytes": self.size(),
            "pin": self.pin(),
            "sha256": self.sha256,
            "error": self.error,
        }

    def state(self) -> str:
        return self.error or (f"sha256:{self.sha256}" if self.sha256 else "loading")


@dataclass
class Segmentation(Model):
    """Tells a person from what is behind: a session of rembg."""

    session: Any = None

    def open(self) -> None:
        # This takes seconds, and whoever asks for the health of the process is answered meanwhile.
        import rembg

        self.session = rembg.new_session("u2net_human_seg", providers=settings.providers())


@dataclass
class Models:
    shape_predictor: Model
    codeformer: Model
    segmentation: Segmentation

    @classmethod
    def configured(cls) -> "Models":
        return cls(
            Model("Shape predictor", settings.models_dir() / "shape_predictor_68_face_landmarks.dat"),
            Model("CodeFormer", settings.models_dir() / "codeformer" / "codeformer.pth"),
            Segmentation("u2net human segmentation", settings.u2net_dir() / "u2net_human_seg.onnx"),
        )

    def by_name(self) -> dict[str, Model]:
        return {"shapePredictor": self.shape_predictor, "codeformer": self.codeformer, "u2net": self.segmentation}

    def load_in_background(self) -> None:
        for model in self.by_name().values():
            threading.Thread(target=model.load, daemon=True).start()

    def ready(self) -> bool:
        return all(model.sha256 for model in self.by_name().values())

    def states(self) -> dict[str, str]:
        return {name: model.state() for name, model in self.by_name().items()}
