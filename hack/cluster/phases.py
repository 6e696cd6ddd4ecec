"""The phases of hack/test, the cheap ones first."""

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import cache, counts, diagnostics, environments, images, imports, install, lifecycle, prerequisites, products, runtimes
from .bringup import bring_up, build_images, write_status
from .conformance import verdicts
from .counts import Counts
from .failure import Failure
from .instance import CLONE, Instance
from .shell import exit_code
from .suite import Phase, Report

CARGO_DENY = "0.20.2"
# Speed of building it matters, its own does not: it runs for seconds.
QUICK_BUILD = {
    "CARGO_PROFILE_RELEASE_OPT_LEVEL": "0",
    "CARGO_PROFILE_RELEASE_DEBUG": "false",
    "CARGO_PROFILE_RELEASE_LTO": "false",
    "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "16",
}
# What is read by programs and from logs has no colours.
PLAIN = {"CARGO_TERM_COLOR": "never", "NO_COLOR": "1"}
RUST_WARNINGS = ["--", "-D", "warnings"]

Parser = Callable[[str], Counts]


@dataclass(frozen=True)
class Phases:
    """All phases, on one instance, with what the user asked for."""

    instance: Instance
    # Only tests whose name contains this; none: all.
    only: str | None
    # Use the instance if it is up already, instead of a new one.
    reuse: bool
    # Environments whose images the node is given beside those that are always tested.
    more: Sequence[str] = ()

    def all(self) -> list[Phase]:
        """In the order in which they run."""
        return [
            Phase("format", "cargo fmt", self.format),
            Phase("tooling", "the tests of hack/ itself", self.tooling),
            Phase("clippy", "no warning anywhere", self.clippy),
            Phase("deny", "licenses, bans and sources of all crates", self.deny),
            Phase("unit", "the crates' own tests", self.unit),
            Phase("runtimes", "the runtimes of the languages", self.runtimes),
            Phase("packaging", "the chart, the one file, and what GitOps tools make of statuses", self.packaging),
            Phase("api", "against a real API server", self.api),
            Phase("images", "programs and images", self.images),
            Phase("conformance", "images that keep the contracts, and one that does not", self.conformance, needs=("images",)),
            Phase("install", "hack/up on a cluster of somebody else's", self.install, needs=("images",)),
            Phase("cluster", "a cluster with Muon installed", self.cluster, needs=("images",)),
            Phase("e2e", "through the Ingress of that cluster", self.e2e, needs=("cluster",)),
        ]

    def format(self, report: Report) -> Counts:
        """The formatting is rustfmt's."""
        return _check(["cargo", "fmt", "--all", "--check", "--", "--color=never"], report)

    def clippy(self, report: Report) -> Counts:
        """No warning of the compiler's or clippy's."""
        return _check(["cargo", "clippy", "--workspace", "--all-targets", "--locked", *RUST_WARNINGS], report)

    def deny(self, report: Report) -> Counts:
        """Each of the three checks counts."""
        program = _cargo_deny(report)
        checks = ("bans", "licenses", "sources")
        return sum((_check([program, "--locked", "check", check], report, append=check) for check in checks), Counts())

    def unit(self, report: Report) -> Counts:
        """Tests that need nothing but the machine."""
        return self._cargo_test(["--workspace", "--exclude", "muon-e2e"], report, {})

    def runtimes(self, report: Report) -> Counts:
        """The tests of every Environment's runtime, on this machine with the packages that its image has."""
        prerequisites.require_toolchains()
        prerequisites.install_packages(environments.packages((*environments.known(), runtimes.SHARED.name)))
        found = Counts()
        for suite in runtimes.suites(self.only):
            report.step.note(suite.language)
            found += self._tests(suite.argv, report, suite.parse, append=suite.language)
        report.step.note("muon run, muon test")
        # As in the phase unit, so that nothing is compiled a second time.
        return found + self._cargo_test(["--workspace", "--exclude", "muon-e2e", "--test", "local"], report, {})

    def packaging(self, report: Report) -> Counts:
        """What hack/package writes, by the libraries of Helm, kustomize, kstatus and Argo CD's Lua."""
        prerequisites.require_toolchains(("go",))
        # As the program itself is built, so that both share what is compiled.
        argv = ["go", "test", "-trimpath", "-v", *(["-run", self.only] if self.only else []), "."]
        return self._tests(argv, report, counts.of_go_test, products.go_environment(), products.PACKAGING)

    def tooling(self, report: Report) -> Counts:
        """The tests beside this package."""
        argv = ["python3", "-m", "unittest", "discover", "-s", "hack/cluster/tests", "-t", "hack"]
        argv += ["-k", self.only] if self.only else []
        return self._tests(argv, report, counts.of_unittest)

    def api(self, report: Report) -> Counts:
        """Tests that start an etcd and an API server of their own."""
        environment = {"MUON_KUBENODE": str(products.kubenode())}
        targets = ["--lib", *_targets("admit", "api")]
        return self._cargo_test(["--package", "muon-e2e", *targets], report, environment)

    def images(self, report: Report) -> Counts:
        """All programs and images; from the cache where nothing changed."""
        prerequisites.install_packages()
        report.step.note("programs of the node")
        products.kubenode()
        products.coredns()
        build_images((*dict.fromkeys(images.NAMES + environments.tested_images(self.more) + images.TEST_NAMES),))
        return Counts(passed=1)

    def conformance(self, report: Report) -> Counts:
        """hack/conformance finds what is known of our images and of somebody else's."""
        if self.only and self.only not in "conformance":
            return Counts()
        prerequisites.require_root()
        names = dict.fromkeys(image for image, *_ in verdicts.CASES)
        found = verdicts.check(build_images(names), report.log, report.step)
        if found.failed:
            report.blamed.append(report.log)
        return found

    def install(self, report: Report) -> Counts:
        """On an instance that is there for nothing else."""
        if self.only and not any(self.only in check.__name__ for check in install.CHECKS):
            return Counts()
        return install.check(report.log)

    def cluster(self, report: Report) -> Counts:
        """A new instance, so that nothing of an earlier run can help or hurt."""
        if not self.reuse:
            lifecycle.down(self.instance)
        try:
            bring_up(self.instance)
        except Failure:
            diagnostics.collect(self.instance, report.log.parent)
            raise
        write_status(self.instance)
        return Counts(passed=1)

    def e2e(self, report: Report) -> Counts:
        """Everything together, as a user's client sees it."""
        known = write_status(self.instance)
        languages = environments.tested_images(self.more)
        more = build_images(languages + images.TEST_NAMES)
        imports.import_images(self.instance, more.values())
        environment = {
            "KUBECONFIG": known["kubeconfig"],
            "MUON_INGRESS": known["ingress"],
            "MUON_STATUS_JSON": str(self.instance.status_file),
            "MUON_KUBENODE": str(products.kubenode()),
            "MUON_FOREIGN_IMAGE": more["e2e/foreign"].reference,
            "MUON_ENVIRONMENT_IMAGES": json.dumps({name: more[name].reference for name in languages}),
        }
        outcome = self._cargo_test(["--package", "muon-e2e", *_targets("e2e")], report, environment)
        if outcome.failed:
            diagnostics.collect(self.instance, report.log.parent)
        return outcome

    def _cargo_test(self, selection: Sequence[str], report: Report, environment: Mapping[str, str]) -> Counts:
        argv = ["cargo", "test", "--locked", "--no-fail-fast", *selection]
        argv += ["--", self.only] if self.only else []
        return self._tests(argv, report, counts.of_cargo_test, environment)

    def _tests(
        self,
        argv: Sequence[str | Path],
        report: Report,
        parse: Parser,
        environment: Mapping[str, str] | None = None,
        folder: Path = CLONE,
        append: str = "",
    ) -> Counts:
        """Runs a test runner and counts. Failing without a failed test, or running none, is a failure too."""
        log = report.part(append)
        code = exit_code(argv, log, step=report.step, cwd=folder, env=_environment(environment or {}))
        found = parse(log.read_text(errors="replace"))
        if code != 0:
            report.blamed.append(log)
        if code != 0 and not found.failed:
            return found + Counts(failed=1)
        if not found.passed and not found.failed and not self.only:
            raise Failure(f"{argv[0]} ran no test; see {log}")
        return found


def _check(argv: Sequence[str | Path], report: Report, append: str = "") -> Counts:
    """A check that passes or fails as a whole."""
    log = report.part(append)
    code = exit_code(argv, log, step=report.step, cwd=CLONE, env=_environment({}))
    if code == 0:
        return Counts(passed=1)
    report.blamed.append(log)
    return Counts(failed=1)


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    return {**PLAIN, **products.cargo_environment(), **more}


def _targets(*altitudes: str) -> list[str]:
    """The test programs of the crate muon-e2e whose names begin with one of the words."""
    folder = CLONE / "e2e" / "tests"
    names = sorted(path.stem for path in folder.iterdir() if path.suffix == ".rs" or (path / "main.rs").exists())
    found = [name for name in names if name.startswith(altitudes)]
    missing = [altitude for altitude in altitudes if not any(name.startswith(altitude) for name in found)]
    if missing:
        raise Failure(f"{folder} has no test whose name begins with {' or '.join(missing)}")
    return [word for name in found for word in ("--test", name)]


def _cargo_deny(report: Report) -> Path:
    """cargo-deny, compiled once for this machine."""

    def install(place: Path) -> None:
        report.step.note("compiling cargo-deny (once)")
        argv = ["cargo", "install", "--locked", f"cargo-deny@{CARGO_DENY}", "--root", place]
        with tempfile.TemporaryDirectory() as target:
            environment = {**QUICK_BUILD, "CARGO_TARGET_DIR": target}
            code = exit_code(argv, report.part("install"), step=report.step, cwd=Path("/"), env=environment)
        if code != 0:
            raise Failure(f"cargo-deny {CARGO_DENY} cannot be installed; see {report.part('install')}")

    return cache.product("cargo-deny", CARGO_DENY, install) / "bin" / "cargo-deny"
