# frozen_string_literal: true

require "json"
require "time"

module MuonRuntime
  # One JSON object a line on stdout: our own records, and whatever user code prints, with the id of its request.
  module Log
    ROOT = File.expand_path("../..", __dir__)
    OUT = STDOUT.dup
    LOCK = Mutex.new

    module_function

    def emit(level, target, message, **more)
      record = { timestamp: Time.now.utc.iso8601(3), level:, target:, message: }
      id = Thread.current.thread_variable_get(:muon_request_id)
      record[:requestId] = id if id
      write(JSON.generate(record.merge(more)))
    rescue JSON::GeneratorError, EncodingError
      write(JSON.generate(record.merge(more).transform_values { |value| value.is_a?(String) ? value.b.inspect : value }))
    end

    def error(message, error)
      emit("ERROR", "function", message, error: describe(error), traceback: trace(error))
    end

    def describe(error) = "#{error.class}: #{error.message}"

    # The stack without the frames of this runtime and of its server that called the user's code.
    def trace(error)
      frames = (error.backtrace || []).reject { |frame| frame.start_with?(ROOT) || frame.include?("/puma-") }
      lines = [describe(error), *frames.map { |frame| "  from #{frame}" }]
      lines << "caused by #{trace(error.cause)}" if error.cause
      lines.join("\n")
    end

    def write(line)
      LOCK.synchronize { OUT.syswrite("#{line}\n") }
    rescue SystemCallError, IOError
      nil # nobody reads the log any more; that is no reason to fail a request
    end

    # With whose id what this thread says is logged.
    def with(request_id)
      Thread.current.thread_variable_set(:muon_request_id, request_id)
      yield
    ensure
      Thread.current.thread_variable_set(:muon_request_id, nil)
    end
  end

  # Stands in for $stdout or $stderr: every line becomes one record. An unfinished line is kept by its thread.
  class LineStream
    def initialize(level, original)
      @level = level
      @original = original
      @key = :"muon_rest_#{level}"
    end

    attr_accessor :sync

    def write(*pieces)
      text = "#{Thread.current.thread_variable_get(@key)}#{pieces.join}"
      *lines, rest = text.split("\n", -1)
      Thread.current.thread_variable_set(@key, rest)
      lines.each { |line| say(line) }
      pieces.sum { |piece| piece.to_s.bytesize }
    end

    def flush
      rest = Thread.current.thread_variable_get(@key)
      Thread.current.thread_variable_set(@key, nil)
      say(rest) if rest
      self
    end

    def puts(*values)
      text = values.empty? ? "\n" : values.flatten.map { |value| value.to_s.end_with?("\n") ? value.to_s : "#{value}\n" }.join
      write(text)
      nil
    end

    def print(*values)
      write(*values)
      nil
    end

    def <<(value)
      write(value)
      self
    end

    def printf(*arguments)
      write(format(*arguments))
      nil
    end

    def putc(value)
      write(value.is_a?(Integer) ? value.chr : value.to_s[0])
      value
    end

    def close = nil
    def closed? = false
    def tty? = false
    alias isatty tty?
    def fileno = @original.fileno
    def to_io = @original
    def external_encoding = Encoding::UTF_8
    def set_encoding(*) = self

    private

    # A line that is a JSON object already is passed on: user code that logs in its own structure keeps it.
    def say(line)
      return if line.empty?

      line.start_with?("{") && line.end_with?("}") && json?(line) ? Log.write(line) : Log.emit(@level, "function", line)
    end

    def json?(line)
      JSON.parse(line)
      true
    rescue JSON::ParserError
      false
    end
  end
end
