<?php
declare(strict_types=1);

namespace Muon\Runtime;

/** A package could not be loaded for a reason that its author has to know. */
final class LoadFailure extends \RuntimeException
{
    public function __construct(public readonly string $reason, string $message)
    {
        parent::__construct($message);
    }
}
