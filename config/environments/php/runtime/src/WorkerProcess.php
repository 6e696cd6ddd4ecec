<?php
declare(strict_types=1);

namespace Muon\Runtime;

/** A worker as its keeper knows it. */
final class WorkerProcess
{
    public bool $isReady = false;
    /** Whether its end is wanted or known. */
    public bool $isGone = false;
    public ?int $connection = null;
    public float $since = 0;
    /** @var resource what select() watches of the channel */
    public readonly mixed $wake;

    /** @var array<int, array{0: string, 1: ?string}> the line that is not whole yet, and whose it is, of each stream */
    private array $lines = [];

    /**
     * @param resource $stdout
     * @param resource $stderr
     */
    public function __construct(
        public readonly int $pid,
        public readonly Channel $channel,
        public readonly mixed $stdout,
        public readonly mixed $stderr,
    ) {
        $this->wake = socket_export_stream($channel->socket);
    }

    /** Passes on what the worker has printed. @param resource $stream */
    public function pass($stream): void
    {
        $piece = @fread($stream, 65536);
        if ($piece === false || $piece === '') {
            return;
        }
        [$rest, $requestId] = $this->lines[(int) $stream] ?? ['', null];
        $lines = explode("\n", $rest . $piece);
        $rest = array_pop($lines);
        foreach ($lines as $line) {
            if (str_starts_with($line, "\x01")) {
                $requestId = substr($line, 1) ?: null;
            } elseif ($line !== '') {
                Log::write(Keeper::asRecord($line, $stream === $this->stderr ? 'ERROR' : 'INFO', $requestId));
            }
        }
        $this->lines[(int) $stream] = [substr($rest, 0, 1 << 20), $requestId];
    }

    /** Passes on the last of it. */
    public function drain(): void
    {
        foreach ([$this->stdout, $this->stderr] as $stream) {
            while (is_resource($stream) && strlen((string) ($piece = @stream_get_contents($stream, 65536))) > 0) {
                [$rest, $requestId] = $this->lines[(int) $stream] ?? ['', null];
                $this->lines[(int) $stream] = ['', $requestId];
                foreach (explode("\n", $rest . $piece) as $line) {
                    if ($line !== '' && !str_starts_with($line, "\x01")) {
                        Log::write(Keeper::asRecord($line, $stream === $this->stderr ? 'ERROR' : 'INFO', $requestId));
                    } elseif ($line !== '') {
                        $requestId = substr($line, 1) ?: null;
                    }
                }
            }
        }
    }
}
