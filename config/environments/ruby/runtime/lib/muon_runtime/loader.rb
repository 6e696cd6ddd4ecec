# frozen_string_literal: true

require "muon_runtime/log"

module MuonRuntime
  # The package could not be loaded for a reason that its author has to know.
  class LoadFailure < StandardError
    attr_reader :reason

    def initialize(reason, message)
      super(message)
      @reason = reason
    end
  end

  LoadOrder = Struct.new(:filepath, :entrypoint, :env) do
    def same?(other) = filepath == other.filepath && entrypoint == other.entrypoint
  end

  # Carries out one load order; undo afterwards makes the process forget what it can.
  class Loader
    DEPENDENCIES = %w[vendor bundle].freeze
    RUBY_API = RbConfig::CONFIG["ruby_version"]

    def initialize(order)
      @order = order
      @features = $LOADED_FEATURES.dup
      @path = $LOAD_PATH.dup
      @env = ENV.to_h
      @directory = Dir.pwd
      @constants = Object.constants
      @methods = Object.private_instance_methods(false) + Object.instance_methods(false)
    end

    # What the entrypoint names: something that responds to call.
    def load
      raise LoadFailure.new("PackageNotFound", "there is nothing at #{@order.filepath}") unless File.exist?(@order.filepath)

      @root = File.realpath(@order.filepath)
      ENV.update(@order.env)
      Dir.chdir(directory? ? @root : File.dirname(@root))
      find_dependencies if directory?
      file, names = entrypoint
      file.end_with?(".ru") ? rack(file) : find(file, names)
    end

    def undo
      ($LOADED_FEATURES - @features).each { |file| $LOADED_FEATURES.delete(file) if inside?(file) }
      $LOAD_PATH.replace(@path)
      ENV.replace(@env)
      Dir.chdir(@directory)
      (Object.constants - @constants).each { |name| forget_constant(name) }
      (Object.private_instance_methods(false) + Object.instance_methods(false) - @methods).each do |name|
        Object.send(:remove_method, name)
      end
    end

    private

    def directory? = File.directory?(@root)

    # The package itself, its lib, and the gems that Bundler has put into it.
    def find_dependencies
      gems = Dir[File.join(@root, "{#{DEPENDENCIES.join(',')}}", "{,bundle/}ruby", RUBY_API, "gems", "*", "lib")]
      native = Dir[File.join(@root, "{#{DEPENDENCIES.join(',')}}", "{,bundle/}ruby", RUBY_API, "extensions", "*", "*", "*")]
      vendored = Dir[File.join(@root, "vendor", "*", "lib")]
      $LOAD_PATH.unshift(@root, File.join(@root, "lib"), *gems.sort, *native.sort, *vendored.sort)
    end

    # The file, and names to follow in it: of constants, and of a method at the end.
    def entrypoint
      name = @order.entrypoint.empty? ? "main.main" : @order.entrypoint
      return [in_package(name), []] if name.end_with?(".ru") && directory? && !name.include?("..")

      found = %r{\A(?<file>[A-Za-z0-9_/-]+?)(\.rb)?(\.(?<names>[A-Za-z_]\w*((\.|::)[A-Za-z_]\w*)*[?!]?))?\z}.match(name)
      raise LoadFailure.new("EntrypointInvalid", "'#{name}' is not of the form file.method or file.Module.method") if found.nil?

      names = (found[:names] || "main").split(/\.|::/)
      [directory? ? in_package("#{found[:file]}.rb") : @root, names]
    end

    def in_package(file)
      path = File.join(@root, file)
      return path if File.file?(path)

      found = Dir.children(@root).grep(/\.(rb|ru)\z/).sort.first(20)
      has = found.empty? ? "it has no Ruby files at its top" : "it has: #{found.join(', ')}"
      raise LoadFailure.new("EntrypointNotFound", "the package has no file '#{file}'; #{has}")
    end

    def rack(file)
      import { Puma::Rack::Builder.parse_file(file) }.first
    end

    def find(file, names)
      import { directory? ? require(file) : Kernel.load(file) }
      *constants, last = names
      owner = constants.inject(Object) { |at, name| constant(at, name) || missing(file, names) }
      if /\A[A-Z]/.match?(last)
        target = constant(owner, last) || missing(file, names)
        target = target.new if target.is_a?(Class) && !target.respond_to?(:call) && target.method_defined?(:call)
        return target if target.respond_to?(:call)

        raise LoadFailure.new("EntrypointInvalid", "#{names.join('.')} is a #{target.class}, and has no method call")
      end
      receiver = constants.empty? ? TOPLEVEL_BINDING.receiver : owner
      receiver.respond_to?(last, true) ? receiver.method(last) : missing(file, names)
    end

    def constant(owner, name) = owner.is_a?(Module) && owner.const_defined?(name) ? owner.const_get(name) : nil

    def missing(file, names)
      methods = Object.private_instance_methods(false) + Object.instance_methods(false) - @methods
      found = (methods + (Object.constants - @constants)).map(&:to_s).sort.first(20)
      has = found.empty? ? "it defines nothing" : "it has: #{found.join(', ')}"
      raise LoadFailure.new("EntrypointNotFound", "#{shorten(file)} has no '#{names.join('.')}'; #{has}")
    end

    def import
      yield
    rescue Exception => e # rubocop:disable Lint/RescueException -- exit at load is a failed load as well
      raise LoadFailure.new("ImportFailed", explain(e))
    end

    # One line for each own frame, outermost first, and the error's own words last.
    def explain(error)
      return error.message.gsub("#{@root}/", "").gsub(@root, File.basename(@root)) if error.is_a?(SyntaxError)

      frames = (error.backtrace_locations || []).select { |frame| inside?(frame.absolute_path.to_s) }
      own = frames.reject { |frame| DEPENDENCIES.any? { |name| frame.absolute_path.start_with?(File.join(@root, name, "")) } }
      own = frames if own.empty?
      lines = own.first(3).reverse.map { |frame| "#{shorten(frame.absolute_path)}:#{frame.lineno}: #{source(frame)}" }
      [*lines, Log.describe(error)].join("\n")
    end

    def source(frame) = File.foreach(frame.absolute_path).lazy.drop(frame.lineno - 1).first.to_s.strip

    def inside?(file) = !@root.nil? && (file == @root || file.start_with?("#{@root}/"))

    def shorten(file) = file.delete_prefix("#{File.directory?(@root) ? @root : File.dirname(@root)}/")

    def forget_constant(name)
      place = Object.const_source_location(name)&.first
      Object.send(:remove_const, name) if place && inside?(place)
    end
  end
end
