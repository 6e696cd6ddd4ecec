# frozen_string_literal: true

require "json"
require "muon/response"

module MuonRuntime
  # A handler returned something that cannot be sent.
  class ReplyInvalid < StandardError; end

  # From what a handler returned to the status, headers and body of Rack; and the JSON shape of every error of ours.
  module Reply
    TEXT = "text/plain; charset=utf-8"
    # The server frames the message; a handler's own idea of that would only contradict it.
    FRAMING = %w[content-length transfer-encoding connection keep-alive upgrade].freeze
    NAME = /\A[!#$%&'*+.^_`|~0-9a-z-]+\z/
    FORBIDDEN = /[\x00-\x08\x0a-\x1f\x7f]/n

    module_function

    def of(value)
      return triple(*value) if triple?(value)

      status = nil
      headers = {}
      if value.is_a?(Muon::Response)
        status = value.status
        headers = checked(value.headers)
        value = value.body
      end
      body, type = encode(value)
      status ||= value.nil? ? 204 : 200
      check_status(status)
      headers["content-type"] ||= type if type
      headers["content-length"] = body.first.bytesize.to_s if body.is_a?(Array) && ![204, 304].include?(status)
      [status, headers, body]
    end

    def error(status, component, reason, message, request_id, executed = "no")
      text = JSON.generate({ component:, reason:, message: message.to_s.scrub, requestId: request_id, executed: })
      [status, { "content-type" => "application/json", "content-length" => text.bytesize.to_s }, [text]]
    end

    # As Rack applications answer.
    def triple?(value)
      value.is_a?(Array) && value.size == 3 && value[0].is_a?(Integer) && value[1].is_a?(Hash) && value[2].respond_to?(:each)
    end

    def triple(status, headers, body)
      check_status(status)
      [status, checked(headers), body]
    end

    def encode(value)
      case value
      when nil then [[""], nil]
      when String then [[value], value.encoding == Encoding::BINARY ? "application/octet-stream" : TEXT]
      when Hash, Array, Numeric, true, false, Struct then [[generate(value)], "application/json"]
      else
        return [value, TEXT] if value.respond_to?(:each)
        return [[generate(value)], "application/json"] if value.respond_to?(:to_h)

        raise ReplyInvalid, "a #{value.class} is not a reply"
      end
    end

    def generate(value)
      JSON.generate(value.is_a?(Struct) || !value.respond_to?(:to_json) ? value.to_h : value)
    rescue JSON::GeneratorError, EncodingError => e
      raise ReplyInvalid, "the returned value cannot be written as JSON: #{e.message}"
    end

    def check_status(status)
      return if status.is_a?(Integer) && status.between?(200, 599)

      raise ReplyInvalid, "#{status.inspect} is not a status that a function can reply with (200 to 599)"
    end

    # Names in small letters; several values of one name are lines of one text, as in Rack.
    def checked(headers)
      headers.each_with_object({}) do |(name, value), kept|
        name = name.to_s.downcase
        values = value.is_a?(Array) ? value.map(&:to_s) : value.to_s.split("\n", -1)
        values = [""] if values.empty?
        if !NAME.match?(name) || values.any? { |each| FORBIDDEN.match?(each.b) }
          raise ReplyInvalid, "the header #{name.inspect} cannot be sent: its name or value has characters that headers cannot carry"
        end

        kept[name] = values.join("\n") unless FRAMING.include?(name)
      end
    end
  end
end
