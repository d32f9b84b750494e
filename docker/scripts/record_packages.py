#!/usr/bin/env python3.11
"""record_packages.py REPORTS LAYER: writes down, as part of the image, what was installed and from where."""

import importlib.metadata
import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit


def key(name: str) -> str:
    """The one spelling of a distribution's name."""
    return re.sub("[-_.]+", "-", name).lower()


def read_reports(folder: Path) -> dict[str, dict]:
    """Where each package came from, by pip's reports NUMBER-INDEX.json: the last installation counts."""
    found = {}
    for report in sorted(folder.glob("*-*.json"), key=lambda path: int(path.stem.partition("-")[0])):
        for item in json.loads(report.read_text())["install"]:
            download = item["download_info"]
            found[key(item["metadata"]["name"])] = {
                "index": report.stem.partition("-")[2],
                "file": PurePosixPath(urlsplit(download["url"]).path).name,
                "sha256": download.get("archive_info", {}).get("hashes", {}).get("sha256"),
            }
    return found


def packages(installed: Iterable[importlib.metadata.Distribution], reported: dict[str, dict]) -> list[dict]:
    """One row per package, sorted; an index of None means that no report names it."""
    rows = [
        {"name": key(dist.name), "version": dist.version, **reported.get(key(dist.name), {"index": None})}
        for dist in installed
    ]
    return sorted(rows, key=lambda row: row["name"])


def main(reports: str, layer: str) -> None:
    installed = importlib.metadata.distributions(path=[f"{layer}/venv/lib/python3.11/site-packages"])
    record = Path(layer, "usr/share/facecraft/packages.json")
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps(packages(installed, read_reports(Path(reports))), indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
