# frozen_string_literal: true

require "muon"
require "muon_runtime/log"
require "muon_runtime/reply"

module MuonRuntime
  # Calls the user's code for one request, and turns whatever comes of it into a reply.
  class Handler
    def self.of(target, body_limit)
      callable = target.respond_to?(:arity) ? target : target.method(:call)
      parameters = callable.parameters
      required = parameters.count { |kind, _| kind == :req }
      if required > 1 || parameters.any? { |kind, _| kind == :keyreq }
        raise LoadFailure.new("EntrypointInvalid", "a handler takes one argument, the request, or none")
      end

      name = parameters.first&.last
      takes = parameters.any? { |kind, _| %i[req opt rest].include?(kind) }
      new(target, body_limit, takes, takes && name == :env)
    end

    # `rack` says that the target is a Rack application: it takes what Rack calls env.
    def initialize(target, body_limit, takes_request, rack)
      @target = target
      @body_limit = body_limit
      @takes_request = takes_request
      @rack = rack
    end

    def call(env)
      request = Muon::Request.new(env, @body_limit)
      id = request.request_id
      status, headers, body = Log.with(id) { answer(env, request) }
      [status, headers, body.is_a?(Array) ? body : Pieces.new(body, id, env["puma.socket"])]
    end

    private

    def answer(env, request)
      value = @rack ? @target.call(env) : @target.call(*(@takes_request ? [request] : []))
      status, headers, body = @rack ? value : Reply.of(value)
      body = started(body, headers) if body.is_a?(Enumerator)
      [status, headers, body]
    rescue Muon::BodyTooLarge => e
      Reply.error(413, "runtime", "BodyTooLarge", e.message, request.request_id, "yes")
    rescue ReplyInvalid => e
      Log.emit("ERROR", "function", "the handler's reply cannot be sent", error: e.message)
      Reply.error(500, "function", "ReplyInvalid", e.message, request.request_id, "yes")
    rescue Exception => e # rubocop:disable Lint/RescueException -- nothing that user code raises ends the server
      Log.error("the handler raised", e)
      Reply.error(500, "function", "Exception", Log.describe(e), request.request_id, "yes")
    end

    # The first piece is made before the head leaves, so that a failure there is a status.
    def started(pieces, headers)
      return pieces if headers["content-type"].to_s.start_with?("text/event-stream")

      first = pieces.next
      Enumerator.new do |out|
        out << first
        loop { out << pieces.next }
      end
    rescue StopIteration
      [""]
    end
  end

  # A body in pieces; what is said while they are made has its request's id, and a failure cuts the connection.
  class Pieces
    def initialize(body, request_id, socket)
      @body = body
      @request_id = request_id
      @socket = socket
    end

    def each(&send)
      Log.with(@request_id) do
        @body.each { |piece| send.call(piece.to_s) }
      rescue Puma::ConnectionError
        raise
      rescue Exception => e # rubocop:disable Lint/RescueException -- nothing that user code raises ends the server
        Log.error("the handler raised within a stream", e)
        @socket&.close
        raise Puma::ConnectionError, "the stream failed"
      end
    end

    def close = @body.respond_to?(:close) && @body.close
  end
end
