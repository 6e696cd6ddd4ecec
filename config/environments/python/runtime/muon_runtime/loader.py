"""Brings one package into this interpreter and finds its entrypoint, or says what is wrong with it.

A failed load is taken back: modules, search path, environment and directory are as they were before it.
"""

import importlib
import importlib.machinery
import importlib.util
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field

from muon_runtime.importerrors import describe_import_error

DEFAULT_ENTRYPOINT = "main.main"
DEFAULT_FUNCTION = "main"

# Directories of a package in which its dependencies may lie; searched after the package itself.
DEPENDENCY_DIRECTORIES = ("site-packages", "deps", "vendor")


@dataclass(frozen=True)
class LoadOrder:
    """What to load: a directory or a single file, and `module.function` within it."""

    filepath: str
    entrypoint: str = ""
    env: dict = field(default_factory=dict, compare=False, hash=False)


class LoadFailure(Exception):
    """The package could not be loaded for a reason that its author has to know."""

    def __init__(self, reason, message, traceback=()):
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.traceback = list(traceback)


class Loader:
    """Carries out one load order; `undo()` afterwards makes the interpreter forget it."""

    def __init__(self, order):
        self._order = order
        self._root = os.path.realpath(order.filepath)
        self._is_directory = os.path.isdir(self._root)
        self._modules_before = dict(sys.modules)
        self._path_before = list(sys.path)
        self._environ_before = {name: os.environ.get(name) for name in order.env}
        self._directory_before = os.getcwd()

    def load(self):
        """The entrypoint's object. Raises LoadFailure."""
        if not os.path.exists(self._root):
            raise LoadFailure("PackageNotFound", f"there is nothing at {self._order.filepath}")
        os.environ.update(self._order.env)
        _forget_what_was_read()
        if self._is_directory:
            self._enter_directory()
        module_name, function_name = self._entrypoint()
        module = self._import(module_name)
        return self._find(module, module_name, function_name)

    def undo(self):
        prefix = self._root + os.sep
        for name, module in list(sys.modules.items()):
            origin = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), "")
            if name not in self._modules_before and (origin == self._root or origin.startswith(prefix)):
                del sys.modules[name]
        for name, module in self._modules_before.items():
            sys.modules.setdefault(name, module)
        sys.path[:] = self._path_before
        for cached in [path for path in sys.path_importer_cache if (path + os.sep).startswith(prefix)]:
            del sys.path_importer_cache[cached]
        for name, value in self._environ_before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        _forget_what_was_read()
        os.chdir(self._directory_before)

    def _enter_directory(self):
        """Puts the package first on the search path, and makes it the current directory, for its data files."""
        dependencies = [os.path.join(self._root, name) for name in DEPENDENCY_DIRECTORIES]
        directories = [self._root, *filter(os.path.isdir, dependencies)]
        sys.path[:0] = directories
        os.chdir(self._root)
        for directory in directories:
            self._unshadow(directory)

    def _unshadow(self, directory):
        """Forgets the server's own libraries where the package brings modules of the same name.

        The server holds the objects it needs; without this, the user's `import websockets` would silently get ours.
        """
        brought = {entry.partition(".")[0] for entry in os.listdir(directory)}
        hidden = brought.difference(sys.stdlib_module_names, KEPT_MODULES)
        for name in list(sys.modules):
            if name.partition(".")[0] in hidden:
                del sys.modules[name]

    def _entrypoint(self):
        name = (self._order.entrypoint or DEFAULT_ENTRYPOINT).replace(":", ".")
        module_name, dot, function_name = name.rpartition(".")
        if not dot:
            # `handler` alone is a module, of which main is meant
            module_name, function_name = name, DEFAULT_FUNCTION
        if not all(part.isidentifier() for part in (*module_name.split("."), function_name)):
            raise LoadFailure("EntrypointInvalid", f"{name!r} is not of the form module.function")
        return module_name, function_name

    def _import(self, name):
        try:
            if self._is_directory:
                return importlib.import_module(name)
            return self._import_file(name)
        except ModuleNotFoundError as error:
            if self._is_directory and error.name is not None and (name + ".").startswith(error.name + "."):
                raise LoadFailure("EntrypointNotFound", self._no_module(name)) from error
            raise self._import_failed(error) from error
        except BaseException as error:  # sys.exit() at import is a failed import as well
            raise self._import_failed(error) from error

    def _import_file(self, name):
        """Imports the single file under the entrypoint's module name, whatever the file is called."""
        source = importlib.machinery.SourceFileLoader(name, self._root)
        module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, source))
        sys.modules[name] = module
        source.exec_module(module)
        return module

    def _import_failed(self, error):
        lines = describe_import_error(error, self._root, DEPENDENCY_DIRECTORIES)
        return LoadFailure("ImportFailed", "\n".join(lines[-4:]), lines)

    def _no_module(self, name):
        found = sorted(_modules_in(self._root))
        has = f"it has: {', '.join(found[:20])}" if found else "it has no Python modules at all"
        return f"the package has no module {name!r}; {has}"

    def _find(self, module, module_name, function_name):
        entry = getattr(module, function_name, None)
        if entry is None and not self._is_directory and "." not in self._order.entrypoint:
            # a single file: a name alone may be meant as the function's
            entry = getattr(module, module_name, None)
        if entry is None:
            found = sorted(_callables_in(module))
            has = f"it has: {', '.join(found[:20])}" if found else "it defines no functions"
            raise LoadFailure("EntrypointNotFound", f"module {module_name!r} has no {function_name!r}; {has}")
        if not callable(entry):
            kind = type(entry).__name__
            raise LoadFailure("EntrypointInvalid", f"{module_name}.{function_name} is a {kind}, not a function")
        return entry


def _forget_what_was_read():
    """Has the standard library read again those variables that it has looked at since the process started."""
    time.tzset()  # TZ
    tempfile.tempdir = None  # TMPDIR and its like


def _modules_in(directory):
    for entry in os.scandir(directory):
        name, suffix = os.path.splitext(entry.name)
        if suffix == ".py" and name.isidentifier():
            yield name
        elif entry.name.isidentifier() and os.path.exists(os.path.join(entry.path, "__init__.py")):
            yield entry.name


def _callables_in(module):
    for name, value in vars(module).items():
        if not name.startswith("_") and callable(value) and getattr(value, "__module__", None) == module.__name__:
            yield name


# Ours, or the interpreter's: a package that has a directory of this name still gets these.
KEPT_MODULES = {"muon", "muon_runtime", "__main__"}
