# frozen_string_literal: true

# The Ruby runtime of Muon: a server that loads one package and answers requests with it.
#
# server       process: sockets, signals, Puma
# application  which path is ours and which the user's
# loading      the load contract: who may load, once, idempotent
# loader       brings the package into this process, or says why not
# handlers     how each kind of entrypoint is called
# reply        from a handler's return value to a status, headers and a body
$LOAD_PATH.unshift(File.expand_path("lib", __dir__))
require "muon_runtime/server"

MuonRuntime::Server.new(ENV).run
