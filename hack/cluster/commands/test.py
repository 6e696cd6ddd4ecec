"""hack/test: every test there is, or some phases of it, on a cluster instance of its own."""

import argparse

from .. import cache, environments, lifecycle, prerequisites
from ..instance import Instance
from ..phases import Phases
from ..progress import Step
from ..suite import Suite


def main() -> int:
    """Runs the phases; the exit code says whether everything passed."""
    instance = Instance("test")
    options = _parser(instance).parse_args()
    reuse = options.keep and lifecycle.supervisor_of(instance) is not None
    more = environments.parse(options.environments) if options.environments else ()
    phases = Phases(instance, options.filter, reuse, more)
    suite = Suite(phases.all(), cache.root() / "logs" / instance.name)
    chosen = {phase.name for phase in suite.chosen(options.phases)}
    if chosen & {"install", "cluster"}:
        prerequisites.require_root()
    if "cluster" in chosen:
        with instance.lock():
            _with_cluster(instance, suite, options.phases, options.keep)
    else:
        suite.run(options.phases)
    total = suite.total()
    print(f"\n{suite.table()}\n\n{total.passed} passed, {total.failed} failed")
    return 1 if total.failed else 0


def _with_cluster(instance: Instance, suite: Suite, phases: list[str], keep: bool) -> None:
    try:
        suite.run(phases)
    finally:
        if not keep:
            with Step("taking the test cluster down"):
                lifecycle.down(instance)


def _parser(instance: Instance) -> argparse.ArgumentParser:
    phases = "\n".join(f"  {phase.name:<10} {phase.about}" for phase in Phases(instance, None, False).all())
    parser = argparse.ArgumentParser(
        prog="hack/test",
        description="Runs all tests, on a cluster of its own that neither disturbs nor needs the one of hack/up.",
        epilog=f"phases:\n{phases}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("phases", nargs="*", metavar="PHASE", help="only these, and what they need")
    parser.add_argument("-k", dest="filter", metavar="TEXT", help="only tests whose name contains TEXT")
    parser.add_argument("--keep", action="store_true", help="leave the test cluster up, and use it if it is up already")
    parser.add_argument(
        "--environments",
        metavar="NAMES",
        help=f"test these on the node too, beside {', '.join(environments.tested())}: {', '.join(environments.BY_HAND)}, or all",
    )
    return parser
