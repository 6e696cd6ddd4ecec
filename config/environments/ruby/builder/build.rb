# frozen_string_literal: true

# `ruby build.rb` builds $SRC_PKG into $DEPLOY_PKG: gems as Gemfile.lock says, into vendor/bundle, and every file of one's own
# looked at for its syntax. What it writes to stderr is for the author of the package.
require "fileutils"

# The source cannot be built, for a reason that its author has to know.
class BuildFailure < StandardError; end

# Links are copied as what they lead to.
def copy_tree(from, to)
  FileUtils.mkdir_p(to)
  Dir.each_child(from) do |name|
    source = File.join(from, name)
    target = File.join(to, name)
    File.directory?(source) ? copy_tree(source, target) : FileUtils.cp(source, target, preserve: true)
  end
end

def check_syntax(root)
  own = Dir.glob("**/*.{rb,ru}", base: root).reject { |path| path.start_with?("vendor/") }
  wrong = own.sort.filter_map do |path|
    RubyVM::InstructionSequence.compile(File.read(File.join(root, path)), path)
    nil
  rescue SyntaxError => e
    e.message
  end
  raise BuildFailure, wrong.join("\n") unless wrong.empty?
end

# Exactly what the lock file says: a build that resolves anew is another one every day.
def install_gems(root, work)
  gemfile = File.join(root, "Gemfile")
  return unless File.exist?(gemfile)

  unless File.exist?(File.join(root, "Gemfile.lock"))
    raise BuildFailure, "Gemfile: there is no Gemfile.lock that says which gems: run `bundle lock` and add the file to the package"
  end

  env = {
    "BUNDLE_GEMFILE" => gemfile, "BUNDLE_PATH" => File.join(root, "vendor", "bundle"), "BUNDLE_FROZEN" => "true",
    "BUNDLE_WITHOUT" => "development:test", "BUNDLE_APP_CONFIG" => File.join(work, "bundle"), "BUNDLE_CLEAN" => "true",
    "BUNDLE_USER_HOME" => File.join(work, "home"), "BUNDLE_SILENCE_ROOT_WARNING" => "true"
  }
  # Its words on stderr, where the errors of a build are looked for.
  done = system(env, "bundle", "install", "--jobs", "2", chdir: root, in: File::NULL, out: :err, err: :err)
  raise BuildFailure, "bundle install failed: see the lines above" unless done

  %w[cache bin doc].each { |name| FileUtils.rm_rf(Dir.glob(File.join(root, "vendor", "bundle", "ruby", "*", name))) }
end

source, target = ENV.values_at("SRC_PKG", "DEPLOY_PKG")
if source.nil? || target.nil?
  warn "SRC_PKG and DEPLOY_PKG must name the source directory and the place for the result"
  exit 2
end

# Ruby does not take a pod's /tmp, which everybody may write to, for a place of its own, and would use the source instead.
work = File.join(ENV.fetch("TMPDIR", "/tmp"), "ruby-build-#{Process.pid}-#{rand(1 << 32)}")
Dir.mkdir(work, 0o700)
ENV["TMPDIR"] = work
begin
  # In a copy, so that nothing is written into the source.
  root = File.join(work, "source")
  copy_tree(File.realpath(source), root)
  check_syntax(root)
  install_gems(root, work)
  copy_tree(root, target)
rescue BuildFailure => e
  warn e.message
  exit 1
ensure
  FileUtils.rm_rf(work)
end
