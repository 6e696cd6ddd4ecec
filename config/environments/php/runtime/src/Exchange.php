<?php
declare(strict_types=1);

namespace Muon\Runtime;

use Muon\BodyTooLarge;
use Muon\CallerGone;

/** One request and its reply on a connection. */
final class Exchange
{
    public const MAX_HEAD = 65536;
    /** So much of a body that nobody read is read away, so that the connection can be used again. */
    private const MAX_REST = 1 << 20;

    public string $method = '';
    public string $target = '';
    /** @var array<string, string> */
    public array $headers = [];
    public string $requestId = '';
    /** Whether the reply's head has been sent. */
    public bool $began = false;
    /** Whether another request may follow on the connection. */
    public bool $keep = true;

    private bool $isOld = false;
    /** Bytes of the body still to come; of a chunked one, of its chunk. */
    private int $left = 0;
    private bool $chunked = false;
    private bool $ended = true;
    private bool $expects = false;

    /** @param resource $stream */
    private function __construct(private $stream, private string &$buffer, private readonly int $bodyLimit)
    {
    }

    /**
     * Reads the head of the next request; null where there is none.
     *
     * @param resource $stream
     */
    public static function begin($stream, string &$buffer, int $bodyLimit): ?self
    {
        while (($end = strpos($buffer, "\r\n\r\n")) === false) {
            if (strlen($buffer) > self::MAX_HEAD) {
                return self::refuse($stream, $buffer, 431, 'HeadTooLarge', 'the head of the request is larger than 64 KiB');
            }
            $piece = @fread($stream, 65536);
            if ($piece === false || $piece === '') {
                return null;
            }
            $buffer .= $piece;
        }
        $head = explode("\r\n", substr($buffer, 0, $end));
        $buffer = substr($buffer, $end + 4);
        $exchange = new self($stream, $buffer, $bodyLimit);
        if (!preg_match('~^([!#$%&\'*+.^_`|\~0-9A-Za-z-]+) (\S+) HTTP/1\.([01])$~', array_shift($head), $line)) {
            return self::refuse($stream, $buffer, 400, 'RequestInvalid', 'this is not a request of HTTP/1.1');
        }
        [, $exchange->method, $exchange->target, $minor] = $line;
        foreach ($head as $field) {
            [$name, $value] = explode(':', $field, 2) + [1 => ''];
            $name = strtolower($name);
            $value = trim($value, " \t");
            $exchange->headers[$name] = isset($exchange->headers[$name])
                ? $exchange->headers[$name] . ($name === 'cookie' ? '; ' : ', ') . $value
                : $value;
        }
        $exchange->isOld = $minor === '0';
        $connection = strtolower($exchange->headers['connection'] ?? '');
        $exchange->keep = $exchange->isOld ? $connection === 'keep-alive' : !str_contains($connection, 'close');
        $exchange->requestId = ($exchange->headers['x-request-id'] ?? '') ?: bin2hex(random_bytes(8));
        $exchange->chunked = str_contains(strtolower($exchange->headers['transfer-encoding'] ?? ''), 'chunked');
        $length = $exchange->headers['content-length'] ?? '0';
        if (!ctype_digit($length) || strlen($length) > 15) {
            return self::refuse($stream, $buffer, 400, 'RequestInvalid', 'content-length is not a number');
        }
        $exchange->left = $exchange->chunked ? 0 : (int) $length;
        $exchange->ended = !$exchange->chunked && $exchange->left === 0;
        $exchange->expects = strtolower($exchange->headers['expect'] ?? '') === '100-continue';
        return $exchange;
    }

    /** The whole of what is left of the body. */
    public function readBody(): string
    {
        $body = '';
        if ($this->left > $this->bodyLimit) {
            throw new BodyTooLarge("the request body is larger than $this->bodyLimit bytes");
        }
        while (($piece = $this->readPiece()) !== '') {
            $body .= $piece;
            if (strlen($body) > $this->bodyLimit) {
                throw new BodyTooLarge("the request body is larger than $this->bodyLimit bytes");
            }
        }
        return $body;
    }

    /** The next piece of the body, empty at its end. */
    public function readPiece(): string
    {
        if ($this->ended) {
            return '';
        }
        if ($this->expects) {
            $this->expects = false;
            $this->write("HTTP/1.1 100 Continue\r\n\r\n");
        }
        if ($this->chunked && $this->left === 0) {
            $this->left = (int) hexdec(preg_match('/^[0-9A-Fa-f]{1,12}/', $this->line(), $size) ? $size[0] : $this->gone());
            if ($this->left === 0) {
                while ($this->line() !== '') {
                    // trailers, which nobody asked for
                }
                $this->ended = true;
                return '';
            }
        }
        if ($this->buffer === '') {
            $this->fill();
        }
        $piece = substr($this->buffer, 0, $this->left);
        $this->buffer = substr($this->buffer, strlen($piece));
        $this->left -= strlen($piece);
        if ($this->left === 0) {
            $this->chunked ? $this->line() : $this->ended = true;
        }
        return $piece;
    }

    /** Sends the whole reply. */
    public function send(Reply $reply): void
    {
        if ($reply->pieces === null) {
            $this->complete($reply->status, $reply->headers, (string) $reply->text);
            return;
        }
        $isEventStream = str_starts_with($reply->header('content-type') ?? '', 'text/event-stream');
        if ($isEventStream) {
            $this->head($reply->status, $reply->headers, true);
        }
        foreach ($reply->pieces as $piece) {
            $piece = Reply::piece($piece);
            if (!$this->began) {
                $headers = $reply->header('content-type') === null
                    ? [...$reply->headers, ['content-type', 'text/plain; charset=utf-8']]
                    : $reply->headers;
                $this->head($reply->status, $headers, true);
            }
            if ($piece !== '' && $this->method !== 'HEAD') {
                $this->write($this->isOld ? $piece : dechex(strlen($piece)) . "\r\n$piece\r\n");
            }
        }
        if (!$this->began) {
            $this->complete($reply->status, $reply->headers, '');
        } elseif (!$this->isOld && $this->method !== 'HEAD') {
            $this->write("0\r\n\r\n");
        }
    }

    /** An error that says whose it is, if the reply has not begun; else the connection breaks off. */
    public function fail(int $status, string $component, string $reason, string $message, string $executed): void
    {
        if ($this->began) {
            $this->keep = false;
            return;
        }
        $error = compact('component', 'reason', 'message') + ['requestId' => $this->requestId ?: null, 'executed' => $executed];
        $this->complete($status, [['content-type', 'application/json']], Log::json($error));
    }

    /** @param list<array{0: string, 1: string}> $headers */
    public function complete(int $status, array $headers, string $text): void
    {
        if ($status !== 204 && $status !== 304) {
            $headers[] = ['content-length', (string) strlen($text)];
        } else {
            $text = '';
        }
        $this->head($status, $headers, false, $this->method === 'HEAD' ? '' : $text);
    }

    /** Reads away what nobody wanted of the body, so that the next request is found. */
    public function finish(): void
    {
        try {
            for ($size = 0; $this->keep && !$this->ended;) {
                // Who waits to be told to go on sends nothing.
                $size += $this->expects ? self::MAX_REST + 1 : strlen($this->readPiece());
                $this->keep = $size <= self::MAX_REST;
            }
        } catch (CallerGone) {
            $this->keep = false;
        }
    }

    /** @param list<array{0: string, 1: string}> $headers */
    private function head(int $status, array $headers, bool $streams, string $text = ''): void
    {
        if ($streams && $this->isOld) {
            $this->keep = false;
        } elseif ($streams) {
            $headers[] = ['transfer-encoding', 'chunked'];
        }
        $lines = "HTTP/1.1 $status " . (self::PHRASES[$status] ?? 'Status') . "\r\n";
        foreach ($headers as [$name, $value]) {
            $lines .= "$name: $value\r\n";
        }
        $this->began = true;
        $this->write($lines . ($this->keep ? ($this->isOld ? "connection: keep-alive\r\n" : '') : "connection: close\r\n") . "\r\n$text");
    }

    private function write(string $text): void
    {
        for ($sent = 0, $size = strlen($text); $sent < $size; $sent += $count) {
            $count = @fwrite($this->stream, $sent === 0 ? $text : substr($text, $sent));
            if ($count === false || $count === 0) {
                $this->gone();
            }
        }
    }

    private function line(): string
    {
        while (($end = strpos($this->buffer, "\r\n")) === false) {
            strlen($this->buffer) > self::MAX_HEAD ? $this->gone() : $this->fill();
        }
        $line = substr($this->buffer, 0, $end);
        $this->buffer = substr($this->buffer, $end + 2);
        return $line;
    }

    private function fill(): void
    {
        $piece = @fread($this->stream, 65536);
        if ($piece === false || $piece === '') {
            $this->gone();
        }
        $this->buffer .= $piece;
    }

    private function gone(): never
    {
        $this->keep = false;
        $this->ended = true;
        throw new CallerGone('the caller went away');
    }

    /** @param resource $stream */
    private static function refuse($stream, string &$buffer, int $status, string $reason, string $message): null
    {
        $exchange = new self($stream, $buffer, 0);
        $exchange->keep = false;
        try {
            $exchange->fail($status, 'runtime', $reason, $message, 'no');
        } catch (CallerGone) {
            // then nobody waits for it
        }
        return null;
    }

    private const PHRASES = [
        200 => 'OK', 201 => 'Created', 202 => 'Accepted', 204 => 'No Content', 206 => 'Partial Content',
        301 => 'Moved Permanently', 302 => 'Found', 303 => 'See Other', 304 => 'Not Modified', 307 => 'Temporary Redirect',
        400 => 'Bad Request', 401 => 'Unauthorized', 403 => 'Forbidden', 404 => 'Not Found', 405 => 'Method Not Allowed',
        409 => 'Conflict', 413 => 'Content Too Large', 422 => 'Unprocessable Content', 426 => 'Upgrade Required',
        429 => 'Too Many Requests', 500 => 'Internal Server Error', 503 => 'Service Unavailable',
    ];
}
