"""The code in the README and in docs/ runs, page by page, as a reader would run it, and messages are those raised."""

import importlib.util
import inspect
import os
import pathlib
import re
import subprocess
import sys

import pytest

import fkeras
from fkeras.core.docstrings import described
from fkeras.core.settings import custom_object_scope

ROOT = pathlib.Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.fixture(scope="module")
def reference():
    """The hook of the documentation site."""
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_code_on_the_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    if page.name == "ARCHITECTURE.md":  # its one sketch leaves the imports out
        exec(
            "from fkeras import initializers\nfrom fkeras.layers import Layer, Weight, registry as layers\n"
            "from fkeras.core.settings import setting\nFn = object",
            names,
        )
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(), re.S)
    assert blocks or page.name not in ("README.md", "pure.md", "masks.md")
    with custom_object_scope():  # what a page registers stays on the page
        for block in blocks:
            exec(compile(block, page.name, "exec"), names)
    if page.name == "ARCHITECTURE.md":
        registry = names["layers"]
        for table in (registry.entries, registry._folded):
            table.pop("Scale", None), table.pop("scale", None)


def test_messages_on_the_page_of_troubles_are_those_that_are_raised(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page, names = (ROOT / "docs" / "troubleshooting.md").read_text(), {}
    exec(re.search(r"```python\n(.*?)```", page, re.S)[1], names)
    blocks = re.findall(r"```pycon\n(.*?)\n```", page, re.S)
    assert len(blocks) >= 30
    for block in blocks:
        *lines, message = block.split("\n")
        *before, last = re.split(r"^>>> ", "\n".join(lines), flags=re.M)[1:]
        exec("".join(before).replace("\n... ", "\n"), names)
        with pytest.raises(Exception) as raised:
            exec(last, names)
        found = f"{raised.type.__name__}: {raised.value}"
        pattern = ".*".join(map(re.escape, message.split("...") if "(filters" not in message else [message]))
        assert re.fullmatch(pattern, found), f"{block}\n\nraises\n\n{found}"


def test_links_between_pages_lead_somewhere():
    anchors = {page: set(map(_anchor, re.findall(r"^#+ (.*)$", page.read_text(), re.M))) for page in PAGES}
    for page in PAGES:
        for target, anchor in re.findall(r"\]\(([\w./-]+\.md)(?:#([\w-]+))?\)", page.read_text()):
            there = (page.parent / target).resolve()
            if "reference/" not in target:  # generated
                assert there.is_file(), f"{page.name} links to {target}"
                assert not anchor or anchor in anchors[there], f"{page.name} links to {target}#{anchor}"


def _anchor(title):
    return re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", title).strip().lower())


def test_the_reference_has_every_public_name(reference):
    homes, pages = reference.homes(), reference.pages()
    for namespace, names in homes.items():
        assert set(names) == set(reference.public_names(namespace))
    for module in ("layers", "losses", "metrics", "optimizers", "callbacks", "ops", "utils", "models", "applications"):
        shown = set(getattr(fkeras, module).__all__)
        inner = {n.rpartition(".")[2] for n in homes if n.startswith(f"fkeras.{module}.")}
        assert shown <= homes[f"fkeras.{module}"].keys() | inner, module
    written = "\n".join(pages.values())
    for names in homes.values():
        for home in names.values():
            name = home.rpartition(".")[2]
            assert f"heading: {name}," in written or f"## `{name}`" in written, home
    assert sum(map(len, homes.values())) > 1500


def test_every_argument_of_every_public_callable_is_described(reference):
    """In its docstring, as `help` shows it: by its own words, its bases', or those that the whole package shares."""
    silent, seen = {}, 0
    for path in {home for names in reference.homes().values() for home in names.values()}:
        value = reference._value(path)
        if reference.is_described(value):
            said = described(inspect.getdoc(value) or "")
            given = inspect.signature(value).parameters.values()
            names = {p.name for p in given if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)} - {"self", "cls"}
            seen += len(names)
            if left := {n for n in names if n not in said}:
                silent[path] = left
    assert not silent and seen > 3000


def test_docstrings_of_the_users_own_stay_as_they_are():
    class Mine(fkeras.layers.Dense):
        """Mine."""

    class Bare(fkeras.layers.Dense):
        pass

    assert Mine.__doc__ == "Mine." and Bare.__doc__ is None
    assert fkeras.layers.Dense(2).__doc__ == fkeras.layers.Dense.__doc__
    assert "trainable" in described(fkeras.layers.Dense.__doc__)


@pytest.mark.long
def test_the_site_is_built_quietly_and_without_a_network(tmp_path):
    pytest.importorskip("mkdocstrings", reason='the site is built with the extra "docs"')
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", str(tmp_path)]
    env = os.environ | {"NO_MKDOCS_2_WARNING": "1"}  # the theme's own news
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=env)
    assert done.returncode == 0 and "WARNING" not in done.stderr, done.stderr[-4000:]
    assert len(list(tmp_path.rglob("*.html"))) > 90 and (tmp_path / "search" / "search_index.js").is_file()
    for page in tmp_path.rglob("*.html"):
        fetched = re.findall(r"<(?:script|link|img)[^>]*(?:src|href)=\"(https?://[^\"]*)", page.read_text("utf-8"))
        assert not fetched, page
