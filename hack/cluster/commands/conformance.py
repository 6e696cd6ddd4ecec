"""hack/conformance: whether an image speaks the contracts, seen by running it."""

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from .. import cache, environments, images, prerequisites
from ..bringup import build_images
from ..conformance import builder, checks, probes
from ..conformance.checks import Package, Subject
from ..conformance.container import unpacked
from ..conformance.report import Report
from ..failure import Failure
from ..progress import Step
from ..shell import logged


def main() -> int:
    """Prints the report; the exit code says whether the image conforms."""
    options = _parser().parse_args()
    prerequisites.require_root()
    # The report alone is on stdout: what goes on meanwhile is for people.
    with contextlib.redirect_stdout(sys.stderr):
        prerequisites.install_packages(("runc", "iproute2", "skopeo"))
        report = examine(options.image, options)
    print(report.as_json() if options.output == "json" else report.as_text())
    return 0 if report.conforms else 1


def examine(image: str, options: argparse.Namespace) -> Report:
    """Runs every check."""
    source = _source(image, options)
    with archive_of(image) as archive, unpacked(archive) as opened, _builder(image, options, source) as build:
        # What a runtime of compiled code loads is what the builder leaves; else source and package are the same.
        from_source = build is not None and options.package is None and source is not None
        given = source and replace(source, folder=options.package or source.folder)
        with _built(build) if from_source else contextlib.nullcontext(given) as package:
            subject = Subject(opened, options.port, package)
            with subject, Step(f"examining {image}") as step:
                findings = checks.run(subject, step.note)
            if build is not None:
                with Step(f"examining {build.name}") as step:
                    findings += builder.run(replace(build, runtime=subject), step.note)
    return Report(image, findings)


@contextmanager
def _builder(image: str, options: argparse.Namespace, source: Package | None) -> Iterator[builder.Build | None]:
    """The builder to be examined: the one that was named, or that of the same Environment where its code is compiled."""
    name = _name_of(image)
    own = not options.builder and not options.package and name in probes.COMPILED
    named = f"muon/{name}-builder" if own else options.builder
    if not named:
        yield None
        return
    command = options.command.split() if options.command else environments.builder_command(name) if own else []
    if source is None or not command:
        raise Failure("a builder needs something to build (--source or --package, --entrypoint) and its command (--command)")
    with archive_of(named) as archive, unpacked(archive) as opened:
        yield builder.Build(named, opened, command, source)


@contextmanager
def _built(build: builder.Build) -> Iterator[Package]:
    with build.done() as (code, said, result):
        if code != 0 or not result.exists():
            raise Failure(f"{build.name} ended with {code}, and left nothing to load: {said or 'it said nothing'}")
        yield replace(build.source, folder=result)


@contextmanager
def archive_of(image: str) -> Iterator[Path]:
    """An image's archive: of ours, built; a file, as it is; anything else, from its registry."""
    if image in images.ALL_NAMES + images.TEST_NAMES:
        yield build_images([image])[image].archive
    elif Path(image).is_file():
        yield Path(image)
    else:
        with tempfile.TemporaryDirectory(prefix="muon-conformance-") as folder, Step(f"fetching {image}"):
            archive = Path(folder) / "image.tar"
            logged(["skopeo", "copy", f"docker://{image}", f"docker-archive:{archive}"], cache.root() / "logs" / "conformance-fetch.log")
            yield archive


def _source(image: str, options: argparse.Namespace) -> Package | None:
    """The code: what was named, or ours in the image's language."""
    folder = options.source or options.package
    if folder:
        return Package(folder, options.entrypoint, False, options.expect)
    name = options.probe or _name_of(image)
    return probes.package(name) if name in probes.ENTRYPOINTS else None


def _name_of(image: str) -> str:
    return image.removeprefix("muon/").removeprefix("e2e/").partition(":")[0]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hack/conformance",
        description="Runs an image as a pod of Muon would, and says which promises of the runtime contract it keeps. "
        "It needs root and runc, no cluster and no Docker.",
    )
    parser.add_argument("image", metavar="IMAGE", help="an image of this repository (muon/php), a docker-archive, or a registry's reference")
    parser.add_argument("--port", type=int, default=8888, help="where it listens (%(default)s)")
    parser.add_argument("--package", type=Path, metavar="FOLDER", help="code for it as it is loaded; images of ours have theirs")
    parser.add_argument("--entrypoint", default="", metavar="NAME", help="what is called in the package")
    parser.add_argument("--expect", default="", metavar="TEXT", help="what GET / of the package answers, or a part of it")
    parser.add_argument("--probe", choices=sorted(probes.ENTRYPOINTS), help="use our own code in this language instead")
    parser.add_argument("--builder", metavar="IMAGE", help="examine this builder too: what it makes is loaded; compiled languages of ours have theirs")
    parser.add_argument("--command", metavar="WORDS", help="the builder's command, words apart")
    parser.add_argument("--source", type=Path, metavar="FOLDER", help="what the builder builds; its result is the package")
    parser.add_argument("-o", dest="output", choices=("text", "json"), default="text", help="how the report is printed")
    return parser
