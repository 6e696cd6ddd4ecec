<?php
declare(strict_types=1);

namespace Muon;

/** A reply with status and headers; the body may be whatever a handler may return alone. */
final class Response
{
    /** @param array<string, string|list<string>> $headers */
    public function __construct(public readonly mixed $body = null, public readonly ?int $status = null, public readonly array $headers = [])
    {
    }
}

/** The request body is larger than a function may have whole; Request::pieces() reads any. */
final class BodyTooLarge extends \RuntimeException
{
}

/** The caller went away in the middle of its request. */
final class CallerGone extends \RuntimeException
{
}
