<?php
declare(strict_types=1);

namespace Muon\Runtime;

/** What to load: a directory or a single file, the entrypoint in it, and the variables to set before. */
final class Order
{
    /** @param array<string, string> $env */
    public function __construct(public readonly string $filepath, public readonly string $entrypoint = '', public readonly array $env = [])
    {
    }

    /** The order in the body of a v2 request. */
    public static function parse(string $body): self
    {
        $fields = json_decode($body, true);
        if (!is_array($fields) || ($fields !== [] && array_is_list($fields))) {
            throw new LoadFailure('OrderInvalid', 'the body is not a JSON object');
        }
        $filepath = $fields['filepath'] ?? null;
        $entrypoint = $fields['functionName'] ?? '';
        $env = $fields['env'] ?? [];
        if (!is_string($filepath) || $filepath === '' || str_contains($filepath, "\0")) {
            throw new LoadFailure('OrderInvalid', 'filepath must be the path of the unpacked package');
        }
        if (!is_string($entrypoint)) {
            throw new LoadFailure('OrderInvalid', 'functionName must be text');
        }
        if (!is_array($env)) {
            throw new LoadFailure('OrderInvalid', 'env must map names to text');
        }
        foreach ($env as $name => $value) {
            if ((string) $name === '' || preg_match('/[=\0]/', (string) $name) || !is_string($value) || str_contains($value, "\0")) {
                throw new LoadFailure('OrderInvalid', 'env must map names to text');
            }
        }
        return new self($filepath, $entrypoint, $env);
    }

    public function isSame(self $other): bool
    {
        return $this->filepath === $other->filepath && $this->entrypoint === $other->entrypoint;
    }

    public function encode(): string
    {
        return serialize([$this->filepath, $this->entrypoint, $this->env]);
    }

    public static function decode(string $text): self
    {
        return new self(...unserialize($text, ['allowed_classes' => false]));
    }
}
