"""Saves what a cluster knew when a test failed on it: the cluster itself is gone soon after."""

import shutil
from pathlib import Path

from .failure import Failure
from .instance import Instance
from .kubectl import Kubectl

QUESTIONS = {
    "objects.txt": ("get", "all,environments,packages,functions,httptriggers,ingresses,endpointslices", "-A", "-o", "wide"),
    "muon.yaml": ("get", "environments,packages,functions,httptriggers", "-A", "-o", "yaml"),
    "pods.txt": ("describe", "pods", "-A"),
    "events.txt": ("get", "events", "-A", "--sort-by=.lastTimestamp"),
}


def collect(instance: Instance, logs: Path) -> None:
    """Copies logs and answers to a folder beside the tests' logs, and says where."""
    folder = logs / "cluster"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    kubectl = Kubectl.of_instance(instance)
    for name, question in QUESTIONS.items():
        try:
            answer = kubectl(*question)
        except (Failure, OSError) as failure:  # A cluster that never came up has not even its kubectl.
            answer = f"{failure}\n"
        (folder / name).write_text(answer)
    for source in (instance.logs, instance.state / "pod-logs"):
        if source.is_dir():
            shutil.copytree(source, folder / source.name, symlinks=True, dirs_exist_ok=True)
    print(f"what the cluster knew and logged is kept in {folder}")
