"""kubectl, bound to exactly one cluster: never to whatever the environment happens to point at."""

import json
import shutil
from dataclasses import dataclass

from .failure import Failure
from .instance import Instance
from .shell import output

FIELD_MANAGER = "muon-dev"


@dataclass(frozen=True)
class Kubectl:
    """How to call kubectl for one cluster."""

    words: tuple[str, ...]

    @staticmethod
    def of_instance(instance: Instance) -> "Kubectl":
        """For the cluster of an instance, as its administrator."""
        return Kubectl((str(instance.bin / "kubectl"), f"--kubeconfig={instance.kubeconfig}"))

    @staticmethod
    def of_context(context: str) -> "Kubectl":
        """For a cluster that the user named, by the user's own kubectl."""
        if shutil.which("kubectl") is None:
            raise Failure("kubectl is not on the PATH: install it to use --context")
        known = output(["kubectl", "config", "get-contexts", "-o", "name"]).split()
        if context not in known:
            raise Failure(f"no context {context!r} in your kubeconfig; there are: {', '.join(known) or 'none'}")
        return Kubectl(("kubectl", f"--context={context}"))

    def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        """Runs it and returns what it printed."""
        return output([*self.words, *arguments], stdin=stdin)

    def apply(self, *arguments: str, stdin: str | None = None) -> None:
        """Applies on the server's side, so that a second time changes nothing and large objects fit."""
        self("apply", "--server-side", "--force-conflicts", f"--field-manager={FIELD_MANAGER}", *arguments, stdin=stdin)

    def get(self, *arguments: str) -> dict:
        """Gets objects as data."""
        return json.loads(self("get", *arguments, "-o", "json"))
