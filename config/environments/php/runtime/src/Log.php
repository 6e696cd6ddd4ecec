<?php
declare(strict_types=1);

namespace Muon\Runtime;

/** One JSON object a line. A worker's lines go through its keeper, which adds the request's id to plain ones. */
final class Log
{
    /** The request that this process is busy with. */
    public static ?string $requestId = null;

    /** @param array<string, mixed> $more */
    public static function emit(string $level, string $target, string $message, array $more = []): void
    {
        self::write(self::record($level, $target, $message, self::$requestId, $more));
    }

    /** @param array<string, mixed> $more */
    public static function record(string $level, string $target, string $message, ?string $requestId, array $more = []): string
    {
        $now = \DateTimeImmutable::createFromFormat('U.u', sprintf('%.6F', microtime(true)));
        $record = ['timestamp' => $now->format('Y-m-d\TH:i:s.v\Z'), 'level' => $level, 'target' => $target, 'message' => $message];
        if ($requestId !== null) {
            $record['requestId'] = $requestId;
        }
        return self::json($record + $more);
    }

    /** What was thrown, with its stack. */
    public static function thrown(string $message, \Throwable $error): void
    {
        self::emit('ERROR', 'function', $message, ['error' => self::describe($error), 'traceback' => self::trace($error)]);
    }

    public static function describe(\Throwable $error): string
    {
        return $error::class . ': ' . $error->getMessage();
    }

    /** The stack as PHP writes it, without the frames of this runtime that called the user's code. */
    public static function trace(\Throwable $error): string
    {
        $lines = [];
        for ($each = $error; $each !== null; $each = $each->getPrevious()) {
            $lines[] = ($lines === [] ? '' : 'caused by ') . self::describe($each);
            $lines[] = '  at ' . $each->getFile() . ':' . $each->getLine();
            foreach ($each->getTrace() as $frame) {
                $file = $frame['file'] ?? '';
                if (!str_starts_with($file, dirname(__DIR__) . '/')) {
                    $name = ($frame['class'] ?? '') . ($frame['type'] ?? '') . $frame['function'];
                    $lines[] = "  in $name" . ($file === '' ? '' : " called at $file:{$frame['line']}");
                }
            }
        }
        return implode("\n", $lines);
    }

    /** @param mixed $value */
    public static function json($value): string
    {
        return json_encode($value, JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_INVALID_UTF8_SUBSTITUTE | JSON_PARTIAL_OUTPUT_ON_ERROR);
    }

    public static function write(string $line): void
    {
        // Nobody reads the log any more? That is no reason to fail a request.
        @fwrite(STDOUT, $line . "\n");
    }
}
