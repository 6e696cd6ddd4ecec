<?php
declare(strict_types=1);

namespace Muon\Runtime;

/** Brings one package into this process and finds its entrypoint, or says what is wrong with it. */
final class Loader
{
    private string $root;
    private bool $isDirectory;

    public function __construct(private readonly Order $order)
    {
    }

    public function load(): \Closure
    {
        $root = realpath($this->order->filepath);
        if ($root === false) {
            throw new LoadFailure('PackageNotFound', "there is nothing at {$this->order->filepath}");
        }
        $this->root = $root;
        $this->isDirectory = is_dir($root);
        foreach ($this->order->env as $name => $value) {
            putenv("$name=$value");
            $_ENV[$name] = $_SERVER[$name] = $value;
        }
        chdir($this->isDirectory ? $root : dirname($root));
        [$file, $name] = $this->entrypoint();
        try {
            $autoload = "$this->root/vendor/autoload.php";
            if ($this->isDirectory && is_file($autoload)) {
                self::run($autoload);
            }
            $returned = self::run($file);
        } catch (\Throwable $error) {
            throw new LoadFailure('ImportFailed', $this->describe($error));
        }
        return $this->find($returned, $file, $name);
    }

    /** The file, and what to call in it; nothing where the file may return it. */
    private function entrypoint(): array
    {
        $name = $this->order->entrypoint === '' ? 'main.main' : $this->order->entrypoint;
        if (!preg_match('~^(?<file>[A-Za-z0-9_/-]+)(\.php)?(\.(?<call>[A-Za-z_][\\\\\w]*(::\w+)?))?$~', $name, $found)) {
            throw new LoadFailure('EntrypointInvalid', "'$name' is not of the form file.function or file.Class::method");
        }
        $call = ($found['call'] ?? '') === '' ? null : $found['call'];
        if (!$this->isDirectory) {
            return [$this->root, $call];
        }
        $file = "$this->root/{$found['file']}.php";
        if (!is_file($file)) {
            $all = array_map(static fn ($path) => basename($path), glob("$this->root/*.php") ?: []);
            $has = $all === [] ? 'it has no PHP files at its top' : 'it has: ' . implode(', ', array_slice($all, 0, 20));
            throw new LoadFailure('EntrypointNotFound', "the package has no file '{$found['file']}.php'; $has");
        }
        return [$file, $call];
    }

    private function find(mixed $returned, string $file, ?string $name): \Closure
    {
        $shown = $this->shorten($file);
        if ($returned instanceof \Closure && ($name === null || $this->order->entrypoint === '')) {
            return $returned;
        }
        $name ??= 'main';
        if (str_contains($name, '::')) {
            [$class, $method] = explode('::', $name, 2);
            if (!class_exists($class) || !method_exists($class, $method)) {
                throw new LoadFailure('EntrypointNotFound', "$shown brings no method $name");
            }
            $method = new \ReflectionMethod($class, $method);
            $object = $method->isStatic() ? null : $this->make($class);
            return $method->getClosure($object);
        }
        if (function_exists($name)) {
            return \Closure::fromCallable($name);
        }
        if (class_exists($name) && method_exists($name, '__invoke')) {
            return \Closure::fromCallable($this->make($name));
        }
        $found = array_filter(
            get_defined_functions()['user'],
            fn ($each) => ($at = (new \ReflectionFunction($each))->getFileName()) !== false && $at === $file,
        );
        $names = array_map(static fn ($each) => (new \ReflectionFunction($each))->getName(), array_values($found));
        $has = $names === [] ? 'it defines no functions' : 'it has: ' . implode(', ', array_slice($names, 0, 20));
        throw new LoadFailure('EntrypointNotFound', "$shown has no '$name'; $has");
    }

    private function make(string $class): object
    {
        try {
            return new $class();
        } catch (\Throwable $error) {
            throw new LoadFailure('StartupFailed', $this->describe($error));
        }
    }

    /** File, line and words of an error: own frames from the outermost in, and the error's line last. */
    public function describe(\Throwable $error): string
    {
        $places = [[$error->getFile(), $error->getLine()]];
        foreach ($error instanceof \ParseError ? [] : $error->getTrace() as $frame) {
            if (isset($frame['file'])) {
                $places[] = [$frame['file'], $frame['line']];
            }
        }
        $inside = array_filter($places, fn ($place) => $this->isInside($place[0]));
        $own = array_filter($inside, fn ($place) => !str_starts_with($place[0], "$this->root/vendor/"));
        $lines = array_map(fn ($place) => $this->place(...$place), array_reverse(array_slice($own ?: $inside, 0, 3)));
        $lines[] = Log::describe($error);
        return implode("\n", $lines);
    }

    private function place(string $file, int $line): string
    {
        $source = rtrim((string) ((@file($file) ?: [])[$line - 1] ?? ''));
        return $this->shorten($file) . ":$line: " . trim($source);
    }

    private function isInside(string $file): bool
    {
        return $file === $this->root || str_starts_with($file, "$this->root/");
    }

    private function shorten(string $file): string
    {
        return $file === $this->root ? basename($file) : ($this->isInside($file) ? substr($file, strlen($this->root) + 1) : $file);
    }

    /** The file sees no variable of ours. */
    private static function run(string $file): mixed
    {
        return (static fn () => require func_get_arg(0))($file);
    }
}
