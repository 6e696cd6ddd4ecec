<?php
declare(strict_types=1);

namespace Muon;

use Muon\Runtime\Exchange;

/** One HTTP request. */
final class Request
{
    public readonly string $method;
    /** The path, decoded. */
    public readonly string $path;
    /** @var array<string, mixed> as in $_GET */
    public readonly array $query;
    /** @var array<string, string> by names in small letters; what stands more than once is joined by commas */
    public readonly array $headers;
    /** @var array<string, string> parameters of the route's path pattern, by names in small letters */
    public readonly array $params;
    public readonly string $requestId;
    /** The id of the trace that the request belongs to, from `traceparent`; null outside of one. */
    public readonly ?string $traceId;

    private ?string $body = null;

    /** @internal */
    public function __construct(private readonly Exchange $exchange)
    {
        [$path, $query] = explode('?', $exchange->target, 2) + [1 => ''];
        parse_str($query, $parsed);
        $this->method = $exchange->method;
        $this->path = rawurldecode($path);
        $this->query = $parsed;
        $this->headers = $exchange->headers;
        $this->requestId = $exchange->requestId;
        $this->traceId = preg_match('/^[0-9a-f]{2}-([0-9a-f]{32})-/', $exchange->headers['traceparent'] ?? '', $found) ? $found[1] : null;
        $params = [];
        foreach ($exchange->headers as $name => $value) {
            if (str_starts_with($name, 'muon-path-param-')) {
                $params[substr($name, 16)] = rawurldecode($value);
            }
        }
        $this->params = $params;
    }

    public function header(string $name, ?string $default = null): ?string
    {
        return $this->headers[strtolower($name)] ?? $default;
    }

    /** A parameter of the path pattern; any case will do. */
    public function param(string $name, ?string $default = null): ?string
    {
        return $this->params[strtolower($name)] ?? $default;
    }

    /** The whole body. */
    public function body(): string
    {
        return $this->body ??= $this->exchange->readBody();
    }

    /** The body as JSON; objects become arrays. */
    public function json(): mixed
    {
        return json_decode($this->body(), true, flags: JSON_THROW_ON_ERROR);
    }

    /** @return array<string, mixed> the fields of a form, as in $_POST */
    public function form(): array
    {
        parse_str($this->body(), $fields);
        return $fields;
    }

    /** The body in pieces as they arrive. @return \Generator<string> */
    public function pieces(): \Generator
    {
        if ($this->body !== null) {
            yield $this->body;
            return;
        }
        while (($piece = $this->exchange->readPiece()) !== '') {
            yield $piece;
        }
    }
}
