#!/usr/bin/env python3.11
"""select_requirements.py FOLDER BUILD FILE...: reads requirements files as pip does, and says what is to be installed.

Leaves in the folder BUILD, which it makes:
  requirements.txt  every requirement, those of included files in their place, without the files' own index options: the
                    stack decides where packages come from
  torch.txt         the packages of torch, with the local version that only this variant's wheels have
  limits.txt        what included constraints say

How pip reads such files: https://pip.pypa.io/en/stable/reference/requirements-file-format/
"""

import codecs
import os
import re
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from optparse import Option, OptionParser
from pathlib import Path

TORCH = ("torch", "torchvision", "torchaudio")
# The options that a line can have.
VALUED = (
    ("-r", "--requirement"),
    ("-c", "--constraint"),
    ("-i", "--index-url", "--pypi-url"),
    ("--extra-index-url",),
    ("-f", "--find-links"),
    ("-e", "--editable"),
    ("--no-binary",),
    ("--only-binary",),
    ("--trusted-host",),
    ("--use-feature",),
)
FLAGS = ("--no-index", "--pre", "--prefer-binary", "--require-hashes")
DROPPED = ("--index-url", "--extra-index-url", "--find-links", "--no-index")
NO_HASHES = "hashes cannot be asked for, because torch comes from another index; facecraft:constraints can fix versions"

# UTF-32's begins with UTF-16's.
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
COMMENT = re.compile(r"(^|\s+)#.*$")
DISTRIBUTION = re.compile(r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?P<extras>\[[^\]]*\])?\s*")
EXACTLY = re.compile(r"==\s*(?P<version>[0-9][0-9A-Za-z.]*)\s*(?P<marker>;.*)?$")


class Wrong(Exception):
    """A sentence for the person who wrote the requirements, and where it applies."""

    place = ""


@dataclass
class Selection:
    requirements: list[str] = field(default_factory=list)
    limits: list[str] = field(default_factory=list)


class Options(OptionParser):
    """The options of a line in their order, by their long names, however they are written."""

    def __init__(self) -> None:
        super().__init__(add_help_option=False)
        self.found: list[tuple[str, str | None]] = []
        for names in VALUED:
            self.add_option(*names, type="str", action="callback", callback=self.keep)
        for name in FLAGS:
            self.add_option(name, action="callback", callback=self.keep)

    def keep(self, option: Option, _written: str, value: str | None, _parser: OptionParser) -> None:
        self.found.append((option.get_opt_string(), value))

    def error(self, message: str) -> None:
        raise Wrong(message)


def read_options(line: str) -> list[tuple[str, str | None]]:
    options = Options()
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise Wrong(f"the options cannot be read: {error}") from error
    _, rest = options.parse_args(words)
    if rest:
        raise Wrong("a word stands behind the options that belongs to none of them")
    return options.found


def decode(data: bytes) -> str:
    for mark, encoding in BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding)
    for line in data.split(b"\n")[:2]:
        declared = re.match(rb"\s*#.*?coding[:=]\s*([-\w.]+)", line)
        if declared:
            return data.decode(declared[1].decode())
    return data.decode()


def read_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines without comments, those that are continued as one, each with the number that it begins with."""
    begin, parts = 0, []
    for number, line in enumerate(text.splitlines(), start=1):
        begin = begin if parts else number
        # A comment is not continued, and ends what is.
        is_comment = COMMENT.match(line) is not None
        if line.endswith("\\") and not is_comment:
            parts.append(line.strip("\\"))
            continue
        parts.append(f" {line}" if is_comment else line)
        yield begin, COMMENT.sub("", "".join(parts)).strip()
        parts = []
    if parts:
        yield begin, COMMENT.sub("", "".join(parts)).strip()


def locate(written: str, beside: Path, folder: Path) -> Path:
    """The file that is meant: nothing but the folder is part of the application."""
    if re.match(r"(https?|ftp|file):", written, re.IGNORECASE):
        raise Wrong("another file is included by a URL; put it beside requirements.txt, as requirements-<name>.txt")
    file = Path(os.path.normpath(beside / written))
    if not file.is_relative_to(folder) or not file.resolve().is_relative_to(folder.resolve()):
        raise Wrong(f"{written} lies outside; put it beside requirements.txt, as requirements-<name>.txt")
    if not file.is_file():
        raise Wrong(f"{written} is not there; what is read of the application is requirements*.txt, and nothing below")
    return file


def read_file(file: Path, folder: Path, into: Selection, limits: bool = False, within: tuple[Path, ...] = ()) -> None:
    """Adds what a file asks for; it can include none of those that include it."""
    try:
        text = decode(file.read_bytes())
    except (UnicodeError, LookupError) as error:
        raise Wrong(f"{file.name} is not text that can be read: {error}; save it as UTF-8") from error
    for number, line in read_lines(text):
        try:
            if line.startswith("-"):
                read_option_line(line, file, folder, into, within)
            elif line:
                check_requirement(line)
                (into.limits if limits else into.requirements).append(line)
        except Wrong as wrong:
            wrong.place = wrong.place or f"{file.relative_to(folder)}, line {number}"
            raise


def read_option_line(line: str, file: Path, folder: Path, into: Selection, within: tuple[Path, ...]) -> None:
    for option, value in read_options(line):
        if option in ("--requirement", "--constraint"):
            included = locate(value or "", file.parent, folder)
            if included in (*within, file):
                raise Wrong(f"{value} is included by itself")
            read_file(included, folder, into, option == "--constraint", (*within, file))
        elif option == "--require-hashes":
            raise Wrong(NO_HASHES)
        elif option not in DROPPED:
            into.requirements.append(option if value is None else shlex.join([option, value]))


def check_requirement(line: str) -> None:
    if re.search(r"\s--hash\b", line):
        raise Wrong(NO_HASHES)


def key(requirement: str) -> str:
    """The one spelling of the distribution's name; empty where there is none."""
    found = DISTRIBUTION.match(requirement)
    return re.sub("[-_.]+", "-", found["name"]).lower() if found else ""


def select_torch(requirements: Iterable[str], flavour: str) -> list[str]:
    """The packages of torch: "torch==2.0.1" also names a build of the default index, "torch==2.0.1+cpu" one thing."""
    selected = sorted({pin_flavour(line, flavour) for line in requirements if key(line) in TORCH})
    if "torch" not in map(key, selected):
        raise Wrong("no line names torch")
    for name in TORCH:
        versions = [line for line in selected if key(line) == name and "==" in line and ";" not in line]
        if len(versions) > 1:
            raise Wrong(f"{name} is asked for in several versions: {', '.join(versions)}")
    return selected


def pin_flavour(requirement: str, flavour: str) -> str:
    found = DISTRIBUTION.match(requirement)
    exact = EXACTLY.match(requirement, found.end()) if found else None
    if not exact:
        return requirement
    what = found["name"] + (found["extras"] or "")
    return f"{what}=={exact['version']}+{flavour}{' ' + exact['marker'] if exact['marker'] else ''}"


def move_to_gpu(requirement: str) -> str:
    """What asks for the CPU's onnxruntime gets the GPU's: both own the same files, and only one can be there."""
    found = DISTRIBUTION.match(requirement)
    if key(requirement) == "onnxruntime":
        return "onnxruntime-gpu" + requirement[found.end("name") :]
    if key(requirement) == "rembg" and found["extras"]:
        return re.sub(r"\bcpu\b", "gpu", requirement[: found.end()]) + requirement[found.end() :]
    return requirement


def select(folder: Path, files: list[str], flavour: str, has_gpu: bool) -> dict[str, list[str]]:
    """The lines of each file that is left for the installation."""
    chosen = Selection()
    for name in files:
        read_file(locate(name, folder, folder), folder, chosen)
    try:
        torch = select_torch(chosen.requirements, flavour)
    except Wrong as wrong:
        wrong.place = " and ".join(files)
        raise
    requirements = [move_to_gpu(line) for line in chosen.requirements] if has_gpu else chosen.requirements
    return {"requirements.txt": requirements, "torch.txt": torch, "limits.txt": chosen.limits}


def main(arguments: list[str], environment: Mapping[str, str]) -> int:
    folder, build, *files = arguments
    try:
        selected = select(Path(folder), files, environment["TORCH_FLAVOUR"], bool(environment.get("TORCH_CUDA")))
    except Wrong as wrong:
        print(f"{wrong.place}: {wrong}" if wrong.place else wrong, file=sys.stderr)
        return 1
    Path(build).mkdir(exist_ok=True)
    for name, lines in selected.items():
        Path(build, name).write_text("".join(f"{line}\n" for line in lines))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
