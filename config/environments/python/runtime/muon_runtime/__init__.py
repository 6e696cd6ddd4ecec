"""The Python runtime of Muon: a server that loads one package and answers requests with it.

server        process: sockets, signals, uvicorn
application   which path is ours and which the user's
loading       the load contract: who may load, once, idempotent
loader        bring the package into this interpreter, or say why not
handlers      how each kind of entrypoint is called
reply         from a handler's return value to bytes
"""
