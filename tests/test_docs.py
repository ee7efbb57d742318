"""The code in the README and in docs/ runs, page by page, as a reader would run it."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_code_on_the_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    if page.name == "ARCHITECTURE.md":  # its one sketch leaves the imports out
        exec(
            "from fkeras import initializers\nfrom fkeras.layers import Layer, Weight, registry as layers\n"
            "from fkeras.core.settings import setting\nFn = object",
            names,
        )
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(), re.S)
    assert blocks or page.name not in ("README.md", "pure.md", "masks.md")
    for block in blocks:
        exec(compile(block, page.name, "exec"), names)
    if page.name == "ARCHITECTURE.md":
        registry = names["layers"]
        for table in (registry.entries, registry._folded):
            table.pop("Scale", None), table.pop("scale", None)
