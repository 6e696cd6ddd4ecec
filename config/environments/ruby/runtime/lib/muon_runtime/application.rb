# frozen_string_literal: true

require "muon_runtime/loading"

module MuonRuntime
  # Which request is ours and which the user's: the runtime contract as one Rack application.
  class Application
    HEALTHY = [200, { "content-type" => "text/plain", "content-length" => "3" }.freeze, ["ok\n"].freeze].freeze

    def initialize(loading)
      @loading = loading
    end

    def call(env)
      path, method = env.values_at("PATH_INFO", "REQUEST_METHOD")
      if path == "/healthz" && %w[GET HEAD].include?(method)
        HEALTHY.map { |part| part.is_a?(Hash) ? part.dup : part }
      elsif method == "POST" && ["/v2/specialize", "/specialize"].include?(path)
        @loading.call(env)
      elsif (handler = @loading.handler)
        handler.call(env)
      else
        Reply.error(503, "runtime", "NotLoaded", "no function is loaded in this pod yet", env["HTTP_X_REQUEST_ID"])
      end
    end
  end
end
