"""`python3 /opt/muon` starts the runtime; /opt/muon is then on sys.path, so that `import muon` works in user code."""

from muon_runtime.server import main

main()
