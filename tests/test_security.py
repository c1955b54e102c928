"""The page of threats names tests that there are; nothing in the tree runs what a file or a request says."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs/security.md").read_text()
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
OURS = ("lib", "infer_tasks", "trainers", "apps", "scripts", "compat")
#: Modules that make objects of bytes by running what the bytes say.
RUNS_BYTES = {"pickle", "dill", "cloudpickle", "marshal", "shelve", "joblib", "jsonpickle"}
RUNS_TEXT = {
    "eval", "exec", "yaml.load", "yaml.unsafe_load", "torch.jit.load",
    "os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput",
}  # fmt: skip
NEVER = ("shell", "allow_pickle", "trust_remote_code")


def threats():
    """The rows of the table of threats: what, what stands against it, tests."""
    rows = PAGE.partition("## Threats")[2].splitlines()
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows if row.startswith("| ")][1:]


def functions(file):
    tree = ast.parse((ROOT / file).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_threat_has_a_test():
    assert len(threats()) > 25
    assert [row[0] for row in threats() if len(row) != 3 or not all(row) or not NAMED.search(row[2])] == []


def test_every_test_that_the_page_names_is_there():
    named = NAMED.findall(PAGE)
    assert [f"{file}::{name}" for file, name in named if name not in functions(file)] == []
    assert len(re.findall(r"`tests/", PAGE)) == len(named), "each is named as FILE::TEST"


def faults(source):
    """What a source file does that could run what a file or a request says, by line."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.ImportFrom(module=str(name)) if name.split(".")[0] in RUNS_BYTES:
                found.append((node.lineno, name))
            case ast.Import(names=names):
                others = RUNS_BYTES - {"pickle"}  # whose error may be caught
                found += [(node.lineno, one.name) for one in names if one.name.split(".")[0] in others]
            case ast.Attribute(value=ast.Name(id="pickle"), attr=name) if name != "UnpicklingError":
                found.append((node.lineno, f"pickle.{name}"))
            case ast.Call(func=func, args=args, keywords=keywords):
                called, given = ast.unparse(func), {one.arg: ast.unparse(one.value) for one in keywords}
                if (
                    called in RUNS_TEXT
                    or (called == "__import__" and not isinstance(args[0], ast.Constant))
                    or (called == "torch.load" and given.get("weights_only") != "True")
                    or any(given.get(name, "False") != "False" for name in NEVER)
                ):
                    found.append((node.lineno, called))
    return found


def test_nothing_runs_what_a_file_or_a_request_says():
    found = {
        str(path.relative_to(ROOT)): wrong
        for part in OURS
        for path in (ROOT / part).rglob("*.py")
        if "node_modules" not in path.parts and (wrong := faults(path.read_text()))
    }
    assert found == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle\npickle.loads(content)",
        "import dill",
        "__import__(name)",
        "def f():\n    from pickle import loads",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "yaml.load(text)",
        "eval(text)",
        "subprocess.run(text, shell=True)",
        "os.system(text)",
        "numpy.load(path, allow_pickle=True)",
        "AutoModel.from_pretrained(path, trust_remote_code=True)",
    ],
)
def test_what_would_run_it_is_found(source):
    assert faults(source)
    assert not faults("torch.load(path, weights_only=True); subprocess.run([text]); model.eval()")
