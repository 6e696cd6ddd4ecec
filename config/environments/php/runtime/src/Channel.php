<?php
declare(strict_types=1);

namespace Muon\Runtime;

/** Messages between keeper and worker, each a word with its data and perhaps a connection. */
final class Channel
{
    /** No message is larger: they are kept whole by the kernel, which has its limits. */
    public const LIMIT = 128 << 10;

    private function __construct(public readonly \Socket $socket)
    {
    }

    /** @return array{0: self, 1: self} */
    public static function pair(): array
    {
        if (!socket_create_pair(AF_UNIX, SOCK_SEQPACKET, 0, $pair)) {
            throw new \RuntimeException('no pair of sockets can be made: ' . socket_strerror(socket_last_error()));
        }
        return [new self($pair[0]), new self($pair[1])];
    }

    /** @param ?resource $connection */
    public function send(string $word, string $data = '', $connection = null): bool
    {
        $message = ['iov' => ["$word\n$data"]];
        if ($connection !== null) {
            $message['control'] = [['level' => SOL_SOCKET, 'type' => SCM_RIGHTS, 'data' => [$connection]]];
        }
        return @socket_sendmsg($this->socket, $message, MSG_NOSIGNAL) !== false;
    }

    /** @return ?array{0: string, 1: string, 2: ?resource} null once the other side is gone */
    public function receive(): ?array
    {
        $message = ['name' => [], 'buffer_size' => self::LIMIT + 64, 'controllen' => socket_cmsg_space(SOL_SOCKET, SCM_RIGHTS, 1)];
        do {
            $size = @socket_recvmsg($this->socket, $message);
        } while ($size === false && socket_last_error($this->socket) === SOCKET_EINTR);
        if ($size === false || $size === 0) {
            return null;
        }
        [$word, $data] = explode("\n", $message['iov'][0], 2) + [1 => ''];
        $connection = $message['control'][0]['data'][0] ?? null;
        return [$word, $data, $connection instanceof \Socket ? socket_export_stream($connection) : $connection];
    }

    public function close(): void
    {
        socket_close($this->socket);
    }
}
