<?php
// `php build.php` builds $SRC_PKG into $DEPLOY_PKG: dependencies as composer.lock says, and every file of one's own looked
// at for its syntax. What it writes to stderr is for the author of the package.
declare(strict_types=1);

/** The source cannot be built, for a reason that its author has to know. */
final class BuildFailure extends RuntimeException
{
}

/** @param list<string> $words */
function run(array $words, string $directory): int
{
    // Its words on stderr, where the errors of a build are looked for.
    $process = proc_open($words, [0 => ['file', '/dev/null', 'r'], 1 => STDERR, 2 => STDERR], $pipes, $directory);
    if ($process === false) {
        throw new BuildFailure("$words[0] cannot be run");
    }
    return proc_close($process);
}

/** Copies a tree, links as what they lead to. */
function copyTree(string $from, string $to): void
{
    mkdir($to, 0755, true);
    foreach (array_diff(scandir($from), ['.', '..']) as $name) {
        if (is_dir("$from/$name")) {
            copyTree("$from/$name", "$to/$name");
        } elseif (!copy("$from/$name", "$to/$name") || !chmod("$to/$name", fileperms("$from/$name") & 0777)) {
            throw new BuildFailure("$name cannot be copied");
        }
    }
}

/** Every file of the package's own, by its path in it. @return Generator<string> */
function ownFiles(string $root): Generator
{
    $all = new RecursiveIteratorIterator(new RecursiveDirectoryIterator($root, FilesystemIterator::SKIP_DOTS));
    foreach ($all as $file) {
        $path = substr($file->getPathname(), strlen($root) + 1);
        if ($file->getExtension() === 'php' && !str_starts_with($path, 'vendor/')) {
            yield $path;
        }
    }
}

function checkSyntax(string $root): void
{
    $wrong = [];
    foreach (ownFiles($root) as $path) {
        try {
            PhpToken::tokenize(file_get_contents("$root/$path"), TOKEN_PARSE);
        } catch (ParseError $error) {
            $lines = file("$root/$path");
            $wrong[] = "$path:{$error->getLine()}: " . trim($lines[$error->getLine() - 1] ?? '') . "\nParseError: {$error->getMessage()}";
        }
    }
    if ($wrong !== []) {
        throw new BuildFailure(implode("\n", $wrong));
    }
}

/** Exactly what the lock file says: a build that resolves anew is another one every day. */
function installDependencies(string $root): void
{
    if (!is_file("$root/composer.json")) {
        return;
    }
    $manifest = json_decode(file_get_contents("$root/composer.json"), true);
    if (!is_array($manifest)) {
        throw new BuildFailure('composer.json: ' . json_last_error_msg());
    }
    $packages = array_filter(array_keys($manifest['require'] ?? []), static fn ($name) => str_contains($name, '/'));
    if ($packages !== [] && !is_file("$root/composer.lock")) {
        $names = implode(', ', $packages);
        throw new BuildFailure("composer.json: it wants $names, and there is no composer.lock that says which: run `composer update` and add the file to the package");
    }
    $words = ['composer', 'install', '--no-dev', '--no-interaction', '--no-progress', '--no-scripts', '--no-plugins', '--prefer-dist', '--classmap-authoritative'];
    if (run($words, $root) !== 0) {
        throw new BuildFailure('composer install failed: see the lines above');
    }
}

[$source, $target] = [getenv('SRC_PKG'), getenv('DEPLOY_PKG')];
if (!$source || !$target) {
    fwrite(STDERR, "SRC_PKG and DEPLOY_PKG must name the source directory and the place for the result\n");
    exit(2);
}
$home = sys_get_temp_dir() . '/composer-' . getmypid();
// A file of this name among the registries says where Composer gets packages: its own config.json.
mkdir($home, 0700, true);
if (is_file('/etc/muon/registries/composer.json')) {
    copy('/etc/muon/registries/composer.json', "$home/config.json");
}
putenv("COMPOSER_HOME=$home");
putenv('COMPOSER_MIRROR_PATH_REPOS=1'); // a package holds no links
try {
    // In a copy, so that nothing is written into the source.
    $work = "$home/source";
    copyTree(realpath($source), $work);
    checkSyntax($work);
    installDependencies($work);
    copyTree($work, $target);
} catch (BuildFailure $failure) {
    fwrite(STDERR, $failure->getMessage() . "\n");
    exit(1);
}
