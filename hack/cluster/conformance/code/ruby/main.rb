def main(request)
  request.path == "/env" ? ENV["PROBE"].to_s : "#{request.method} #{request.path} #{request.body}"
end
