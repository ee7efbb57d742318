"""The reference of the documentation site: a hook of mkdocs and an extension of griffe.

The names come from the package itself, so that none can be missing: `namespaces` walks its public modules,
`public_names` lists what each one shows, and every object is described once, on the page of its first namespace.
`tests/test_docs.py` uses the same functions.
"""

import importlib
import inspect
import pathlib
import pkgutil
import re
import sys

OVERVIEW = "reference/index.md"
# An object that several namespaces show is described in the first of these that shows it.
FIRST = ("fkeras.models", "fkeras.layers", "fkeras.optimizers", "fkeras.losses", "fkeras.metrics", "fkeras.callbacks",
         "fkeras.distribute")  # fmt: skip
MODEL = """
    compile fit evaluate predict train_on_batch test_on_batch predict_on_batch train_step test_step
    compile_report summary get_layer save export load_weights save_weights get_weights set_weights to_json
    get_config from_config count_params build init apply compute_loss compute_output_shape layers inputs
    outputs input_shape output_shape weights trainable_weights non_trainable_weights losses metrics params
    state
""".split()  # what the page of `Model` describes
BESIDE = ("ARCHITECTURE.md", "CHANGELOG.md", "SECURITY.md")
NOT_LISTED = ("fkeras.optim.", "fkeras.ops.einops")  # the same names as optimizers, ops


def namespaces():
    """Returns the full names of all public modules of the package, `fkeras` first."""
    import fkeras

    found = ["fkeras", "fkeras.distribute"]
    for name in sorted(n for n in fkeras.__all__ if inspect.ismodule(getattr(fkeras, n))):
        found.append(f"fkeras.{name}")
        found += [f"fkeras.{name}.{inner}" for inner in _inner(_module(f"fkeras.{name}"))]
    return [name for name in found if not f"{name}.".startswith(NOT_LISTED)]


def _module(namespace):
    """Returns the module that stands at a path, which may have another name of its own."""
    parent, _, name = namespace.rpartition(".")
    found = getattr(_module(parent), name, None) if parent else None
    return found if inspect.ismodule(found) else importlib.import_module(namespace)


def _inner(module):
    """Yields the names of the public modules directly inside a module."""
    files = {m.name for m in pkgutil.iter_modules(getattr(module, "__path__", ()))}
    for name in sorted(getattr(module, "__all__", files)):
        if inspect.ismodule(getattr(module, name, None)):
            yield name


def public_names(namespace):
    """Returns {name: object} of the functions, classes and values that a public module shows."""
    module = _module(namespace)
    listed = getattr(module, "__all__", None)
    if listed is None and module.__name__ == "fkeras.optimizers.schedules":  # which has all of another file
        module = importlib.import_module("fkeras.optim.schedules")
    if listed is None:
        listed = [name for name, value in vars(module).items() if _is_defined_in(module, name, value)]
    found = {name: getattr(module, name) for name in sorted(listed, key=str.lower)}
    return {name: value for name, value in found.items() if not inspect.ismodule(value) and not name.startswith("_")}


def _is_defined_in(module, name, value):
    return getattr(value, "__module__", None) == module.__name__ and getattr(value, "__name__", None) == name


def homes():
    """Returns {namespace: {name: "fkeras.layers.Dense"}}: for every public name, where its object is described."""
    order = sorted(namespaces(), key=lambda n: (FIRST.index(n) if n in FIRST else len(FIRST) + (n == "fkeras"), n))
    home, found = {}, {}
    for namespace in order:
        for name, value in sorted(
            public_names(namespace).items(), key=lambda item: item[0] != getattr(item[1], "__name__", None)
        ):
            known = home.setdefault(id(value), f"{namespace}.{name}") if is_described(value) else f"{namespace}.{name}"
            found.setdefault(namespace, {})[name] = known
    return {namespace: found[namespace] for namespace in namespaces() if namespace in found}


def page_of(path):
    """Returns the page that describes the object at a path such as "fkeras.layers.Dense"."""
    namespace, _, name = path.rpartition(".")
    inside = namespace.removeprefix("fkeras").strip(".").replace(".", "/") or "fkeras"
    if inside.startswith(("applications/", "datasets/")):  # a function or two in each
        inside = inside.partition("/")[0]
    if namespace in ("fkeras.layers", "fkeras.losses", "fkeras.metrics"):
        file = getattr(_value(path), "__module__", "").removeprefix(f"{namespace}.").partition(".")[0]
        return f"reference/{inside}/{ {'contract': 'base', 'fkeras': 'base'}.get(file, file) }.md"
    if namespace == "fkeras.ops":
        inside += "/" + next((h for h in ("numpy", "nn", "linalg") if name in public_names(f"fkeras.ops.{h}")), "core")
    return f"reference/{inside}.md"


def pages():
    """Returns {page: Markdown} of the whole reference."""
    where = homes()
    described = {}  # page -> {home: all paths of its object}
    for namespace, names in where.items():
        for name, home in names.items():
            described.setdefault(page_of(home), {}).setdefault(home, []).append(f"{namespace}.{name}")
    written = {}
    for page, paths in described.items():
        namespace, _, part = page.removeprefix("reference/").removesuffix(".md").partition("/")
        title = "fkeras" if namespace == "fkeras" else f"fkeras.{namespace}{': ' * bool(part)}{part.replace('_', ' ')}"
        written[page] = f"# {title}\n\n" + "\n".join(_block(path, paths[path]) for path in sorted(paths, key=str.lower))
    written[OVERVIEW] = _overview(where)
    return written


def _block(path, names):
    """Returns the section on one object: the directive for mkdocstrings, and the object's other names."""
    value, name = _value(path), path.rpartition(".")[2]
    if not is_described(value):
        return f"## `{name}` {{: #{path} data-toc-label={name} }}\n\n`{path}` is the value `{_shown(value)}`.\n"
    options = f"heading: {name}, toc_label: {name}"
    if path == "fkeras.models.Model":  # whose methods lie in several files
        options += ", members: {0}, inherited_members: {0}".format("[" + ", ".join(MODEL) + "]")
    text = f"::: {_defined_as(value, path)}\n    options: {{{options}}}\n\n"
    return text + f"Names: {', '.join(f'`{n}`' for n in dict.fromkeys([path, *names]))}.\n"


def is_described(value):
    """Whether a public object is a function or a class, and not a number, a list or a table."""
    return inspect.isclass(value) or (callable(value) and hasattr(value, "__name__"))


def _defined_as(value, path):
    """Returns the path of an object in the file that defines it, where it can be found there by its own name."""
    module, name = getattr(value, "__module__", None), getattr(value, "__name__", None)
    found = getattr(sys.modules.get(module), str(name), None)
    return f"{module}.{name}" if found is value else path


def _value(path):
    namespace, _, name = path.rpartition(".")
    return getattr(_module(namespace), name)


def _shown(value):
    text = repr(value).replace("\n", " ")
    return text if len(text) < 80 else text[:77] + "..."


def _overview(where):
    """Returns the page that lists every public name with its summary and a link."""
    text = [
        "# All public names\n",
        "This list is generated from the package when the site is built: each name that `dir` of a public module shows "
        "is here, with a link to its description. A name that several modules show is described once.\n",
    ]
    for namespace, names in where.items():
        text.append(f"## {namespace}\n\n| Name | What it is |\n| --- | --- |")
        for name, home in sorted(names.items(), key=lambda item: item[0].lower()):
            value = _value(home)
            anchor = _defined_as(value, home) if is_described(value) else home
            link = f"{page_of(home).removeprefix('reference/')}#{anchor}"
            text.append(f"| [`{name}`]({link}) | {_summary(value)} |")
        text.append("")
    return "\n".join(text)


def _summary(value):
    if not is_described(value):
        return f"`{_shown(value)}`".replace("|", "\\|")
    return (inspect.getdoc(value) or "").partition("\n")[0].replace("|", "\\|")


# ------------------------------------------------------------------------------------------------- mkdocs


def on_config(config):
    """Drops what is not there yet from the navigation, and adds the pages that it does not name, and the reference."""
    sys.path.insert(0, str(pathlib.Path(config.docs_dir).parent))  # describe this checkout, not what is installed
    here = {p.name for p in pathlib.Path(config.docs_dir).glob("*.md")}
    named = set()

    def kept(items):
        out = []
        for item in items:
            (title, target), *_ = item.items()
            if isinstance(target, list):
                out.append({title: kept(target)})
            elif target in here:
                named.add(target)
                out.append(item)
        return out

    config.nav = kept(config.nav)
    config.nav.append({"Project": list(BESIDE)})
    if rest := sorted(here - named):
        config.nav.append({"More": rest})
    config.nav.append({"Reference": _nav(sorted(pages()))})
    return config


def _nav(paths):
    nav, groups = [{"All public names": OVERVIEW}], {}
    for path in paths:
        group, _, rest = path.removeprefix("reference/").removesuffix(".md").partition("/")
        if path != OVERVIEW:
            groups.setdefault(group, []).append({rest or group: path})
    return nav + [{group: found[0][group] if group in found[0] and len(found) == 1 else found} for group, found in
                  groups.items()]  # fmt: skip


def on_files(files, config):
    """Adds the generated pages, and those of the repository that belong to no other place."""
    from mkdocs.structure.files import File

    root = pathlib.Path(config.docs_dir).parent
    beside = {name: re.sub(r"\]\(docs/", "](", (root / name).read_text("utf-8")) for name in BESIDE}
    for path, text in (beside | pages()).items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown, **kwargs):
    """Points links to the pages beside the folder at their places in the site."""
    return re.sub(rf"\]\(\.\./(?=({'|'.join(BESIDE)})\b)", "](", markdown)


# ------------------------------------------------------------------------------------------------- griffe


def _each_alone(match):
    """Gives each of several arguments that are described together the description."""
    return "\n".join(f"    {name}:{match[2]}" for name in match[1].split(", "))


try:
    import griffe
except ImportError:  # the tests use the lists above without the extra `docs`
    griffe = None
else:

    class Constructors(griffe.Extension):
        """Shows classes by the signature and the docstring that Python shows, and without plain attributes."""

        def on_instance(self, *, node, obj, agent, **kwargs):
            """Names the sections as griffe does."""
            if not obj.is_alias and obj.docstring:
                text = re.sub("^Example:$", "Examples:", obj.docstring.value, flags=re.M)
                obj.docstring.value = re.sub(
                    r"^    (\w+(?:, \w+)+):((?:.*)(?:\n     .*)*)", _each_alone, text, flags=re.M
                )

        def on_module_members(self, *, node, mod, agent, **kwargs):
            """Adds the functions that a module defines and does not list, such as MobileNetV3Small."""
            before, agent.current = agent.current, mod
            for name, value in vars(node.obj).items():
                if not name.startswith("_") and name not in mod.members and _is_defined_in(node.obj, name, value):
                    agent.inspect(griffe.ObjectNode(value, name=name, parent=node))
            agent.current = before

        def on_class_members(self, *, node, cls, agent, **kwargs):
            runtime = node.obj
            for name, member in list(cls.members.items()):
                if (member.is_alias or member.is_attribute) and not isinstance(
                    inspect.getattr_static(runtime, name, None), property
                ):
                    cls.del_member(name)
            try:
                signature = inspect.signature(runtime)
            except (TypeError, ValueError):
                return
            parameters = [griffe.Parameter("self", kind=griffe.ParameterKind.positional_or_keyword)]
            for p in signature.parameters.values():
                default = None if p.default is p.empty else _shown(p.default)
                parameters.append(griffe.Parameter(p.name, kind=_KINDS[p.kind], default=default))
            init = griffe.Function("__init__", parameters=griffe.Parameters(*parameters))
            init.lineno, init.endlineno = cls.lineno, cls.endlineno  # the source that is shown is that of the class
            cls.set_member("__init__", init)

    _KINDS = {getattr(inspect.Parameter, k.name.upper()): k for k in griffe.ParameterKind}
