<?php
declare(strict_types=1);

namespace Muon\Runtime;

/**
 * What PHP itself cannot do to descriptors: a pipe, and putting it where stdout and stderr are. So whatever a worker
 * prints, by whichever function, arrives at its keeper.
 */
final class Pipes
{
    private const PR_SET_PDEATHSIG = 1;
    private static ?\FFI $c = null;

    /** @return array{0: resource, 1: int} the end to read, and the descriptor of the end to write */
    public static function open(): array
    {
        $ends = self::c()->new('int[2]');
        if (self::c()->pipe2($ends, 02000000 /* close on exec */) !== 0) {
            throw new \RuntimeException('no pipe can be made');
        }
        $read = fopen("php://fd/{$ends[0]}", 'r');
        self::c()->close($ends[0]); // PHP has made itself a copy
        stream_set_blocking($read, false);
        return [$read, $ends[1]];
    }

    /** Puts a descriptor in the place of another. */
    public static function replace(int $place, int $by): void
    {
        self::c()->dup2($by, $place);
        self::c()->close($by);
    }

    public static function close(int $descriptor): void
    {
        self::c()->close($descriptor);
    }

    /** Has this process end with the one that made it. */
    public static function endWithParent(): void
    {
        self::c()->prctl(self::PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    }

    private static function c(): \FFI
    {
        $functions = 'int pipe2(int *ends, int flags); int dup2(int from, int to); int close(int fd);'
            . 'int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d);';
        return self::$c ??= \FFI::cdef($functions);
    }
}
