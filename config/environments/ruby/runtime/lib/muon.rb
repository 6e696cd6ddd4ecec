# frozen_string_literal: true

# What user code may use: the request, and the reply with status and headers.
module Muon
end

require "muon/request"
require "muon/response"
