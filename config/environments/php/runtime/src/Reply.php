<?php
declare(strict_types=1);

namespace Muon\Runtime;

use Muon\Response;

/** A handler returned something that cannot be sent. */
final class ReplyInvalid extends \RuntimeException
{
}

/** From what a handler returned to a status, headers, and a text or pieces of it. */
final class Reply
{
    private const TEXT = 'text/plain; charset=utf-8';
    // The runtime frames the message; a handler's own idea of that would only contradict it.
    private const FRAMING = ['content-length', 'transfer-encoding', 'connection', 'keep-alive', 'upgrade'];

    public int $status;
    /** @var list<array{0: string, 1: string}> */
    public array $headers = [];
    public ?string $text = null;
    public ?iterable $pieces = null;

    /** `echoed` is what was printed while the handler ran: the body of one that returns nothing. */
    public static function of(mixed $value, string $echoed): self
    {
        $reply = new self();
        $status = null;
        if ($value instanceof Response) {
            $status = $value->status;
            $reply->take($value->headers);
            $value = $value->body;
        } elseif (is_object($value) && method_exists($value, 'getStatusCode') && method_exists($value, 'getHeaders')) {
            // PSR-7, which frameworks answer with
            $status = $value->getStatusCode();
            $reply->take($value->getHeaders());
            $value = (string) $value->getBody();
        }
        if ($value === null && $echoed !== '') {
            $value = $echoed;
        }
        $type = $reply->put($value);
        $reply->status = $status ?? ($value === null ? 204 : 200);
        if ($reply->status < 200 || $reply->status > 599) {
            throw new ReplyInvalid("$reply->status is not a status that a function can reply with (200 to 599)");
        }
        if ($type !== null && $reply->header('content-type') === null) {
            $reply->headers[] = ['content-type', $type];
        }
        return $reply;
    }

    public function header(string $wanted): ?string
    {
        foreach ($this->headers as [$name, $value]) {
            if ($name === $wanted) {
                return $value;
            }
        }
        return null;
    }

    /** Keeps the body, and says what type it has by nature. */
    private function put(mixed $value): ?string
    {
        if ($value === null) {
            $this->text = '';
            return null;
        }
        if (is_string($value)) {
            $this->text = $value;
            return self::TEXT;
        }
        if ($value instanceof \Traversable && !$value instanceof \JsonSerializable) {
            $this->pieces = $value;
            return null;
        }
        if (is_resource($value)) {
            $this->pieces = (static function () use ($value) {
                while (!feof($value) && ($piece = fread($value, 65536)) !== false) {
                    yield $piece;
                }
            })();
            return 'application/octet-stream';
        }
        try {
            $this->text = json_encode($value, JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE);
        } catch (\JsonException $error) {
            throw new ReplyInvalid('the returned value cannot be written as JSON: ' . $error->getMessage());
        }
        return 'application/json';
    }

    /** @param array<string, string|array<string>> $headers */
    private function take(array $headers): void
    {
        foreach ($headers as $name => $values) {
            $name = strtolower((string) $name);
            foreach (is_array($values) ? $values : [$values] as $value) {
                $value = (string) $value;
                if (!preg_match('/^[!#$%&\'*+.^_`|~0-9a-z-]+$/D', $name) || preg_match('/[\x00-\x08\x0a-\x1f\x7f]/', $value)) {
                    throw new ReplyInvalid("the header '$name' cannot be sent: its name or value has characters that headers cannot carry");
                }
                if (!in_array($name, self::FRAMING, true)) {
                    $this->headers[] = [$name, $value];
                }
            }
        }
    }

    public static function piece(mixed $value): string
    {
        if (is_string($value)) {
            return $value;
        }
        throw new ReplyInvalid('a stream must yield text, and this one yielded ' . get_debug_type($value));
    }
}
