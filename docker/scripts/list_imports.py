#!/usr/bin/env python3.11
"""list_imports.py SOURCE: prints the modules of other packages that an application imports, one a line, sorted.

Whatever runs later than the start counts too: an import inside a function is one.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path


def imports(tree: ast.AST) -> Iterator[str]:
    """The modules that a file names, but for those that it names relative to itself."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module


def list_imports(source: Path) -> list[str]:
    """A file that is no Python names none: whether the application can do without it is for its boot to show."""
    found: set[str] = set()
    for file in source.rglob("*.py"):
        try:
            found.update(imports(ast.parse(file.read_bytes())))
        except (SyntaxError, ValueError):
            continue
    own = {path.stem for path in source.iterdir()}
    outside = {name for name in found if name.partition(".")[0] not in own | sys.stdlib_module_names}
    return sorted(outside)


if __name__ == "__main__":
    print("\n".join(list_imports(Path(sys.argv[1]))))
