# frozen_string_literal: true

require "ipaddr"
require "json"
require "muon_runtime/handlers"
require "muon_runtime/loader"

module MuonRuntime
  # Holds the one handler of this process, and how it came to be: who may load, once, and the same order twice is one load.
  class Loading
    V1_FILE = "/userfunc/user"
    ORDER_LIMIT = 1 << 20

    attr_reader :handler

    def initialize(body_limit)
      @body_limit = body_limit
      @lock = Mutex.new
    end

    # Answers POST /v2/specialize and POST /specialize.
    def call(env)
      id = env["HTTP_X_REQUEST_ID"]
      return Reply.error(403, "runtime", "NotLoopback", "a load is taken from this pod only", id) unless loopback?(env["REMOTE_ADDR"])

      order = env["PATH_INFO"] == "/specialize" ? LoadOrder.new(ENV.fetch("MUON_V1_FILE", V1_FILE), "", {}) : parse(env["rack.input"])
      Reply.of({ loaded: true, milliseconds: load(order) })
    rescue LoadFailure => e
      Reply.error(%w[AlreadyLoaded OrderInvalid].include?(e.reason) ? 400 : 500, "runtime", e.reason, e.message, id)
    end

    def loopback?(address)
      peer = IPAddr.new(address.to_s)
      (peer.ipv4_mapped? ? peer.native : peer).loopback?
    rescue IPAddr::Error
      false
    end

    # Loads once. The same order again waits for the load that runs, or finds it done.
    def load(order)
      @lock.synchronize do
        if @order && !@order.same?(order)
          raise LoadFailure.new("AlreadyLoaded", "already loaded: this pod serves #{@order.filepath} #{@order.entrypoint}".strip)
        end

        @milliseconds = carry_out(order) if @order.nil?
        @order = order
        @milliseconds
      end
    end

    private

    def carry_out(order)
      started = Process.clock_gettime(Process::CLOCK_MONOTONIC)
      loader = Loader.new(order)
      begin
        @handler = Handler.of(loader.load, @body_limit)
      rescue LoadFailure => e
        loader.undo
        Log.emit("ERROR", "runtime", "load failed", reason: e.reason, error: e.message, filepath: order.filepath)
        raise
      end
      milliseconds = ((Process.clock_gettime(Process::CLOCK_MONOTONIC) - started) * 1000).round(3)
      Log.emit("INFO", "runtime", "loaded", filepath: order.filepath, milliseconds:)
      milliseconds
    end

    def parse(io)
      text = io.read(ORDER_LIMIT + 1).to_s
      invalid("the body is larger than #{ORDER_LIMIT} bytes") if text.bytesize > ORDER_LIMIT
      fields = JSON.parse(text)
      invalid("the body is not a JSON object") unless fields.is_a?(Hash)
      filepath, entrypoint, env = fields.values_at("filepath", "functionName", "env")
      invalid("filepath must be the path of the unpacked package") unless text?(filepath) && !filepath.empty?
      invalid("functionName must be text") unless entrypoint.nil? || text?(entrypoint)
      invalid("env must map names to text") unless env.nil? || variables?(env)
      LoadOrder.new(filepath, entrypoint || "", env || {})
    rescue JSON::ParserError
      invalid("the body is not JSON")
    end

    def invalid(message) = raise(LoadFailure.new("OrderInvalid", message))

    def text?(value) = value.is_a?(String) && !value.include?("\0")

    def variables?(env)
      env.is_a?(Hash) && env.all? { |name, value| text?(name) && !name.empty? && !name.include?("=") && text?(value) }
    end
  end
end
