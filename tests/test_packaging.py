"""The repository's root is the package: what is declared, built and shipped is what is there.

Each guard is a function of its material, so that a planted fault can show that it bites.
"""

import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parent.parent
NOT_PACKAGED = {"tests", "benchmarks", "docs", "examples", "build", "dist"}
ROOT_MODULES = {"__init__.py", "__main__.py", "api.py", "cli.py"}

# Put together here, so that this file does not name them either.
REGISTRY_HOSTS = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("pypi", "python", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("yarnpkg", "com"),
        ("crates", "io"),
        ("deb", "debian", "org"),
        ("conda", "anaconda", "org"),
        ("proxy", "golang", "org"),
        ("repo", "maven", "apache", "org"),
    )
]


def project_files() -> list[PurePosixPath]:
    """Files git tracks or would track; outside a clone (an unpacked sdist), all but caches."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    if (ROOT / ".git").exists():
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
        names = [name for name in listed.stdout.decode().split("\0") if name]
    else:
        names = [path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*")]
    paths = [PurePosixPath(name) for name in names]
    return [path for path in paths if (ROOT / path).is_file() and not is_cache(path)]


def is_cache(path: PurePosixPath) -> bool:
    return any(part in {"__pycache__", ".venv"} or "cache" in part for part in path.parts[:-1])


def is_packaged(path: PurePosixPath) -> bool:
    """Whether the file lies in a folder that could be a package."""
    top = path.parts[0]
    return (
        len(path.parts) > 1
        and top not in NOT_PACKAGED
        and not top.startswith(".")
        and not top.endswith(".egg-info")
    )


def packages_on_disk(files: Iterable[PurePosixPath]) -> set[str]:
    """Every folder with Python sources, whether or not it has an `__init__.py`."""
    sources = [path for path in files if path.suffix == ".py" and is_packaged(path)]
    return {"numaplace"} | {".".join(("numaplace", *path.parent.parts)) for path in sources}


def lacking_init(files: Iterable[PurePosixPath]) -> set[PurePosixPath]:
    files = set(files)
    folders = {path.parent for path in files if path.suffix == ".py" and is_packaged(path)}
    return {folder for folder in folders if folder / "__init__.py" not in files}


def modules_at_root(files: Iterable[PurePosixPath]) -> set[str]:
    return {path.name for path in files if len(path.parts) == 1 and path.suffix == ".py"}


def submodules_loaded(folder: Path) -> str:
    """Names of the submodules that `import numaplace`, run in `folder`, brings with it."""
    code = "import sys, numaplace; print(*(m for m in sys.modules if m.startswith('numaplace.')))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def hosts_named(text: str) -> list[str]:
    return [host for host in REGISTRY_HOSTS if host in text.lower()]


def expected_in_wheel(files: Iterable[PurePosixPath]) -> set[str]:
    """Sources, `py.typed`, and every other file that lies in a package's folder."""
    files = list(files)
    from_folders = {str(path) for path in files if is_packaged(path)}
    return {f"numaplace/{name}" for name in from_folders | modules_at_root(files) | {"py.typed"}}


def test_declared_packages_are_those_on_disk() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    declared = settings["tool"]["setuptools"]["packages"]
    assert sorted(declared) == sorted(packages_on_disk(project_files()))
    assert not lacking_init(project_files())


def test_an_undeclared_package_would_be_seen() -> None:
    files = [PurePosixPath(name) for name in ("solver/new/engine.py", "tests/a/test_a.py", "x.py")]
    assert packages_on_disk(files) == {"numaplace", "numaplace.solver.new"}
    assert lacking_init(files) == {PurePosixPath("solver/new")}


def test_only_four_modules_at_the_root() -> None:
    assert modules_at_root(project_files()) <= ROOT_MODULES


def test_a_stray_module_at_the_root_would_be_seen() -> None:
    files = [PurePosixPath(name) for name in ("conftest.py", "cli.py", "models/vm.py")]
    assert modules_at_root(files) - ROOT_MODULES == {"conftest.py"}


def test_importing_the_package_loads_no_submodule(tmp_path: Path) -> None:
    assert submodules_loaded(tmp_path) == ""


def test_an_eager_import_would_be_seen(tmp_path: Path) -> None:
    package = tmp_path / "numaplace"
    package.mkdir()
    (package / "__init__.py").write_text("import numaplace.models", encoding="utf-8")
    (package / "models.py").touch()
    assert submodules_loaded(tmp_path) == "numaplace.models"


def test_no_file_names_a_package_registry() -> None:
    named = {
        str(path): hosts
        for path in project_files()
        if (hosts := hosts_named((ROOT / path).read_text(encoding="utf-8", errors="replace")))
    }
    assert named == {}


@pytest.mark.parametrize("host", REGISTRY_HOSTS)
def test_a_named_package_registry_would_be_seen(host: str) -> None:
    assert host in hosts_named(f"pip install --index-url https://{host.upper()}/simple numaplace")


@pytest.mark.packaging
@pytest.mark.slow
def test_wheel_holds_sources_and_data_and_nothing_else(tmp_path: Path) -> None:
    """Built as a release is, through the sdist, from a copy with data and a stale build added."""
    copy = tmp_path / "numa clone"
    files = project_files()
    for path in files:
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        (copy / path).write_bytes((ROOT / path).read_bytes())
    data = [PurePosixPath("instances/data", name) for name in ("a.json", "b.yaml", "deep/c.xml")]
    stale = PurePosixPath("build/lib/numaplace/stale.py")
    for path in [*data, stale]:
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        (copy / path).touch()

    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tmp_path), "."]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    info = {name for name in names if name.split("/")[0].endswith(".dist-info")}
    assert names - info == expected_in_wheel([*files, *data])
    assert any(name.endswith("/licenses/LICENSE") for name in info)
    assert any(name.endswith("/entry_points.txt") for name in info)
