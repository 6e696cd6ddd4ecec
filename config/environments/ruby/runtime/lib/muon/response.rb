# frozen_string_literal: true

module Muon
  # A reply with status and headers; the body may be whatever a handler may return alone.
  class Response
    attr_reader :body, :status, :headers

    def initialize(body = nil, status: nil, headers: {})
      @body = body
      @status = status
      @headers = headers
    end
  end
end
