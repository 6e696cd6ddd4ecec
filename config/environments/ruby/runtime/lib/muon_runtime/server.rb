# frozen_string_literal: true

require "puma"
require "puma/server"
require "puma/rack/builder"
require "muon_runtime/application"
require "muon_runtime/log"

module MuonRuntime
  # The process: sockets, signals, and Puma as the HTTP server.
  class Server
    # Only proxies and the agent keep connections open, and they close what they do not need. A short time of ours would
    # only close a connection in the very moment in which a proxy sends its next request on it.
    KEEP_ALIVE_SECONDS = 3600

    def initialize(environ)
      @address = environ.fetch("MUON_ADDRESS", "")
      @port = Integer(environ.fetch("MUON_PORT", "8888"))
      @threads = Integer(environ.fetch("MUON_CONCURRENCY", "128"))
      @body_limit = Integer(environ.fetch("MUON_BODY_LIMIT", (64 << 20).to_s))
      @grace = Float(environ.fetch("MUON_GRACE_SECONDS", "25"))
    end

    def run
      $stdout = LineStream.new("INFO", STDOUT)
      $stderr = LineStream.new("ERROR", STDERR)
      bell = signals
      server = listen
      serving = server.run
      Log.emit("INFO", "runtime", "listening", port: server.connected_ports.first)
      bell.pop
      stop(server, serving)
    end

    private

    def signals
      read, write = IO.pipe
      %w[TERM INT].each { |name| trap(name) { write.write_nonblock(".", exception: false) } }
      Queue.new.tap { |bell| Thread.new { bell << read.read(1) } }
    end

    def listen
      server = Puma::Server.new(Application.new(Loading.new(@body_limit)), Puma::Events.null, options)
      # IPv4, and beside it IPv6 where the pod has it.
      server.add_tcp_listener(@address.empty? ? "0.0.0.0" : @address, @port, true, 511)
      server.add_tcp_listener("::", @port, true, 511) if @address.empty?
      server
    rescue SystemCallError => e
      raise if server.nil? || server.connected_ports.empty?

      Log.emit("DEBUG", "runtime", "no IPv6 here", error: e.message)
      server
    end

    def options
      {
        min_threads: 1,
        max_threads: @threads,
        persistent_timeout: KEEP_ALIVE_SECONDS,
        first_data_timeout: KEEP_ALIVE_SECONDS,
        environment: "production",
        lowlevel_error_handler: method(:fallback)
      }
    end

    def fallback(error, env = nil, *)
      Log.error("a request could not be answered", error)
      Reply.error(500, "runtime", "Internal", Log.describe(error), env && env["HTTP_X_REQUEST_ID"], "unknown")
    end

    # Requests in flight are finished, but not longer than the grace period lasts.
    def stop(server, serving)
      Log.emit("INFO", "runtime", "stopping", graceSeconds: @grace)
      Thread.new do
        sleep(@grace)
        Log.emit("WARNING", "runtime", "the grace period is over; what still runs is cut off")
        exit!(0)
      end
      server.stop
      serving.join
      Log.emit("INFO", "runtime", "stopped")
      exit!(0) # threads of user code do not keep the process
    end
  end
end
