# frozen_string_literal: true

require "json"
require "securerandom"
require "uri"

module Muon
  # The request body is larger than a function may have whole; Request#io reads any.
  class BodyTooLarge < StandardError; end

  # Names in which neither case nor the choice of - and _ matters.
  class Fields
    include Enumerable

    def initialize(pairs)
      @values = pairs.to_h { |name, value| [key(name), value] }
    end

    def [](name) = @values[key(name)]
    def fetch(name, *default, &block) = @values.fetch(key(name), *default, &block)
    def key?(name) = @values.key?(key(name))
    def each(&block) = @values.each(&block)
    def to_h = @values.dup

    private

    def key(name) = name.to_s.downcase.tr("_", "-")
  end

  # One HTTP request.
  class Request
    PARAMETER = "HTTP_MUON_PATH_PARAM_"

    # What Rack says of the request.
    attr_reader :env

    def initialize(env, body_limit = nil)
      @env = env
      @body_limit = body_limit
    end

    def method = env["REQUEST_METHOD"]

    # The path, decoded.
    def path = @path ||= Request.decode(env["PATH_INFO"])

    # Parameters of the route's path pattern.
    def params
      @params ||= Fields.new(prefixed(PARAMETER).map { |name, value| [name, Request.decode(value)] })
    end

    # The first value of each parameter of the query string; query_all has every one.
    def query = @query ||= query_all.transform_values(&:first)

    def query_all
      @query_all ||= URI.decode_www_form(env["QUERY_STRING"].to_s).group_by(&:first).transform_values { |pairs| pairs.map(&:last) }
    end

    def headers
      @headers ||= begin
        pairs = prefixed("HTTP_")
        %w[CONTENT_TYPE CONTENT_LENGTH].each { |name| pairs << [name, env[name]] if env[name] }
        Fields.new(pairs)
      end
    end

    # The id that the proxy gave this request; one of our own when it was called without a proxy.
    def request_id = env["muon.request_id"] ||= env["HTTP_X_REQUEST_ID"] || SecureRandom.hex(8)

    # The id of the trace that the request belongs to, from `traceparent`; nil outside of one.
    def trace_id = env["HTTP_TRACEPARENT"].to_s[/\A\h{2}-(\h{32})-/, 1]

    # The body, to be read like a file.
    def io = env["rack.input"]

    # The whole body.
    def body
      @body ||= begin
        text = +(@body_limit ? io.read(@body_limit + 1) : io.read).to_s # of no body at all it is frozen
        raise BodyTooLarge, "the request body is larger than #{@body_limit} bytes" if @body_limit && text.bytesize > @body_limit

        text.force_encoding(Encoding::UTF_8)
      end
    end

    def json = JSON.parse(body)

    def self.decode(text) = URI.decode_uri_component(text.to_s).force_encoding(Encoding::UTF_8)

    private

    def prefixed(prefix)
      env.filter_map { |name, value| [name.delete_prefix(prefix), value] if name.start_with?(prefix) }
    end
  end
end
