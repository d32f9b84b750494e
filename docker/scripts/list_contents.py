#!/venv/bin/python
"""list_contents.py PLACED: writes down, beside the record of the proof, what the image is made of.

PLACED has a description of each model, which place_model.py has left; UNTOLD_SOURCES names those without their URLs.
All lists are sorted, and nothing in them depends on when or where the image was built.
"""

import importlib.metadata
import json
import os
import platform
import re
import shlex
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

from image import CONTENTS, MODELS, PROOF, write_document

PACKAGES = "usr/share/facecraft/packages.json"
# Where the base has Python packages; the application sees none of them.
BASE_FOLDERS = (
    "usr/lib/python3*/dist-packages",
    "usr/local/lib/python3*/dist-packages",
    "usr/local/lib/python3*/site-packages",
)


def list_python(root: Path) -> list[dict]:
    """The packages of the application's environment, as record_packages.py has left them."""
    keys = ("name", "version", "index", "file", "sha256")
    rows = [{key: row.get(key) for key in keys} for row in json.loads((root / PACKAGES).read_text())]
    return sorted(rows, key=lambda row: row["name"])


def list_base_python(root: Path) -> list[dict]:
    """The packages that the base has for its own Python."""
    folders = [folder for pattern in BASE_FOLDERS for folder in root.glob(pattern)]
    rows = [
        {
            "name": re.sub("[-_.]+", "-", dist.name).lower(),
            "version": dist.version,
            "folder": f"/{folder.relative_to(root)}",
        }
        for folder in folders
        for dist in importlib.metadata.distributions(path=[str(folder)])
        if dist.name
    ]
    return sorted(rows, key=lambda row: (row["name"], row["folder"]))


def read_paragraphs(text: str) -> Iterator[dict[str, str]]:
    """The fields of each paragraph of a Debian control file; of a field of several lines, the first one."""
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        fields = (line.partition(":") for line in paragraph.split("\n") if not line[:1].isspace())
        yield {name: value.strip() for name, _, value in fields}


def list_debian(status: str) -> list[dict[str, str]]:
    """The packages that dpkg's status calls installed."""
    rows = [
        {
            "name": fields["Package"],
            "version": fields["Version"],
            "architecture": fields["Architecture"],
            # `name`, or `name (version)` where the source has another version.
            "source": re.sub(r"\s*\((.*)\)$", r" \1", fields.get("Source", fields["Package"])),
        }
        for fields in read_paragraphs(status)
        if fields.get("Status", "").endswith(" installed")
    ]
    return sorted(rows, key=lambda row: (row["name"], row["architecture"]))


def read_distribution(text: str) -> dict[str, str]:
    """What /etc/os-release says: https://www.freedesktop.org/software/systemd/man/latest/os-release.html"""
    words = [word for line in text.splitlines() for word in shlex.split(line, comments=True)]
    found = dict(word.split("=", 1) for word in words if "=" in word)
    identifier = found.get("ID", "linux")
    return {
        "id": identifier,
        "version": found.get("VERSION_ID", ""),
        "title": found.get("PRETTY_NAME", identifier),
    }


def list_models(placed: Path, secret: Collection[str]) -> list[dict]:
    """The models, each with where it came from; those whose URLs are secret with an empty one."""
    rows = [json.loads(file.read_text()) for file in placed.glob("*.json")]
    for row in rows:
        row["title"] = MODELS[row["file"]]
        if row["file"] in secret:
            row["url"] = ""
    return sorted(rows, key=lambda row: row["file"])


def list_contents(root: Path, placed: Path, secret: Collection[str] = ()) -> dict:
    return {
        "distribution": read_distribution((root / "etc/os-release").read_text()),
        "interpreter": {
            "version": platform.python_version(),
            "file": os.path.realpath(sys.executable),
        },
        "python": list_python(root),
        "basePython": list_base_python(root),
        "debian": list_debian((root / "var/lib/dpkg/status").read_text()),
        "models": list_models(placed, secret),
    }


if __name__ == "__main__":
    secret = os.environ["UNTOLD_SOURCES"].split()
    write_document(CONTENTS, list_contents(Path("/"), Path(sys.argv[1]), secret), PROOF)
