<?php
declare(strict_types=1);

namespace Muon\Runtime;

/**
 * Keeps the port, the connections and the workers. An idle connection waits here; once it has something to say, it is
 * lent to a worker for one request. Before a load, and for health and loads, the keeper answers itself.
 */
final class Keeper
{
    /** Fewer than select() can watch. */
    private const MAX_CONNECTIONS = 800;
    private const ORDER_LIMIT = Channel::LIMIT - 1024;
    private const V1_FILE = '/userfunc/user';
    private const BODY_LIMIT = 64 << 20;
    /** A worker beyond the first ends after so many seconds without a request. */
    private const IDLE_SECONDS = 60;
    private const LONGEST_WAIT = 10.0;

    /** @var array<int, resource> */
    private array $listeners = [];
    /** @var array<int, array{stream: resource, buffer: string, worker: ?int, waits: bool, asked: bool}> */
    private array $connections = [];
    /** @var array<int, WorkerProcess> by process id */
    private array $workers = [];
    private ?Order $order = null;
    private bool $loaded = false;
    private float $loadBegan = 0;
    private ?float $stopAt = null;
    private float $noSpawnBefore = 0;

    public function __construct(
        private readonly string $address,
        private readonly int $port,
        private readonly int $limit,
        private readonly float $grace,
    ) {
    }

    public function run(): never
    {
        pcntl_async_signals(true);
        pcntl_signal(SIGTERM, $this->stop(...));
        pcntl_signal(SIGINT, $this->stop(...));
        pcntl_signal(SIGCHLD, static fn () => null); // wakes select()
        $this->listen();
        $this->spawn(); // so that a load finds one
        Log::emit('INFO', 'runtime', 'listening', ['port' => (int) substr(strrchr(stream_socket_get_name($this->listeners[0], false), ':'), 1)]);
        while (!$this->isOver()) {
            $this->turn();
        }
        Log::emit('INFO', 'runtime', 'stopped');
        foreach (array_keys($this->workers) as $pid) {
            posix_kill($pid, SIGKILL);
        }
        exit(0);
    }

    /** One line of a worker: passed on where it has a structure of its own, else made a record. */
    public static function asRecord(string $line, string $level, ?string $requestId): string
    {
        $isRecord = str_starts_with($line, '{') && str_ends_with($line, '}') && json_decode($line) !== null;
        return $isRecord ? $line : Log::record($level, 'function', $line, $requestId);
    }

    private function listen(): void
    {
        $context = stream_context_create(['socket' => ['backlog' => 511, 'tcp_nodelay' => true, 'ipv6_v6only' => true]]);
        $open = static fn (string $place) => @stream_socket_server("tcp://$place", context: $context);
        $first = $open(($this->address ?: '0.0.0.0') . ":$this->port");
        if ($first === false) {
            Log::emit('ERROR', 'runtime', "port $this->port cannot be listened on", ['error' => error_get_last()['message'] ?? '']);
            exit(1);
        }
        // IPv6 beside it where the pod has it.
        $second = $this->address === '' ? $open("[::]:$this->port") : false;
        $this->listeners = $second === false ? [$first] : [$first, $second];
    }

    private function turn(): void
    {
        $read = count($this->connections) < self::MAX_CONNECTIONS ? $this->listeners : [];
        $talks = array_filter($this->connections, static fn ($it) => $it['worker'] === null && !$it['waits']);
        foreach ($talks as $connection) {
            $read[] = $connection['stream'];
        }
        foreach ($this->workers as $worker) {
            array_push($read, $worker->stdout, $worker->stderr, $worker->wake);
        }
        $write = $except = null;
        [$seconds, $micro] = $this->patience();
        if (@stream_select($read, $write, $except, $seconds, $micro)) {
            foreach ($read as $stream) {
                $this->heard($stream);
            }
        }
        $this->bury();
        $this->lend();
        $this->retire();
    }

    /** How long to wait for something to happen. @return array{0: int, 1: int} */
    private function patience(): array
    {
        // Never for ever: a signal that comes just before the wait begins is noticed after it.
        $left = $this->stopAt === null ? self::LONGEST_WAIT : max(0.0, $this->stopAt - microtime(true));
        $left = min($left, max(0.0, $this->noSpawnBefore - microtime(true)) ?: $left);
        return [(int) $left, (int) (fmod($left, 1) * 1e6)];
    }

    /** @param resource $stream */
    private function heard($stream): void
    {
        if (in_array($stream, $this->listeners, true)) {
            $accepted = @stream_socket_accept($stream, 0);
            if ($accepted !== false) {
                $this->connections[(int) $accepted] = ['stream' => $accepted, 'buffer' => '', 'worker' => null, 'waits' => false, 'asked' => false];
            }
            return;
        }
        if (isset($this->connections[(int) $stream])) {
            $this->called((int) $stream);
            return;
        }
        foreach ($this->workers as $worker) {
            if ($stream === $worker->wake) {
                $this->told($worker);
            } elseif ($stream === $worker->stdout || $stream === $worker->stderr) {
                $worker->pass($stream);
            }
        }
    }

    private function called(int $id): void
    {
        $connection = &$this->connections[$id];
        if ($this->loaded && $connection['buffer'] === '') {
            $seen = (string) stream_socket_recvfrom($connection['stream'], 32, STREAM_PEEK);
            if ($seen === '') {
                $this->close($id);
            } elseif (!preg_match('~^(GET /healthz |POST (/v2)?/specialize )~', $seen)) {
                $connection['waits'] = true;
            } else {
                $this->answer($id);
            }
            return;
        }
        $this->answer($id);
    }

    /** Answers a small request of its own. */
    private function answer(int $id): void
    {
        $connection = &$this->connections[$id];
        $piece = @fread($connection['stream'], 65536);
        if ($piece === false || $piece === '') {
            $this->close($id);
            return;
        }
        $connection['buffer'] .= $piece;
        $end = strpos($connection['buffer'], "\r\n\r\n");
        if ($end === false) {
            strlen($connection['buffer']) > Exchange::MAX_HEAD ? $this->close($id) : null;
            return;
        }
        $head = substr($connection['buffer'], 0, $end);
        $length = preg_match('/\r\ncontent-length:[ \t]*(\d{1,9})/i', $head, $found) ? (int) $found[1] : 0;
        $isOrder = preg_match('~^POST (/v2)?/specialize ~', $head) === 1;
        if ($isOrder && $length <= self::ORDER_LIMIT && strlen($connection['buffer']) < $end + 4 + $length) {
            return; // more of it will come
        }
        $buffer = $connection['buffer'];
        $connection['buffer'] = '';
        $exchange = Exchange::begin($connection['stream'], $buffer, self::ORDER_LIMIT);
        if ($exchange === null) {
            $this->close($id);
            return;
        }
        try {
            if ($isOrder) {
                $this->ordered($id, $exchange, $length > self::ORDER_LIMIT ? null : substr($buffer, 0, $length));
            } elseif ($exchange->target === '/healthz' && in_array($exchange->method, ['GET', 'HEAD'], true)) {
                $exchange->complete(200, [['content-type', 'text/plain']], "ok\n");
            } else {
                $exchange->keep = $exchange->keep && $length === 0 && !isset($exchange->headers['transfer-encoding']);
                $exchange->fail(503, 'runtime', 'NotLoaded', 'no function is loaded in this pod yet', 'no');
            }
        } catch (\Muon\CallerGone) {
            $exchange->keep = false;
        }
        if (!$exchange->keep) {
            $this->close($id);
        }
    }

    private function ordered(int $id, Exchange $exchange, ?string $body): void
    {
        $peer = (string) stream_socket_get_name($this->connections[$id]['stream'], true);
        if (!preg_match('~^(127\.[\d.]+|\[(::1|::ffff:127\.[\d.]+)\]):\d+$~', $peer)) {
            $exchange->fail(403, 'runtime', 'NotLoopback', 'a load is taken from this pod only', 'no');
            return;
        }
        try {
            if ($body === null) {
                throw new LoadFailure('OrderInvalid', 'the body is larger than ' . self::ORDER_LIMIT . ' bytes');
            }
            $order = $exchange->target === '/specialize' ? new Order(getenv('MUON_V1_FILE') ?: self::V1_FILE) : Order::parse($body);
            if ($this->order !== null && !$this->order->isSame($order)) {
                throw new LoadFailure('AlreadyLoaded', trim("already loaded: this pod serves {$this->order->filepath} {$this->order->entrypoint}"));
            }
        } catch (LoadFailure $failure) {
            $exchange->fail(400, 'runtime', $failure->reason, $failure->getMessage(), 'no');
            return;
        }
        if ($this->loaded) {
            $this->sayLoaded($exchange);
            return;
        }
        $this->connections[$id]['asked'] = true;
        $this->connections[$id]['waits'] = true;
        $this->connections[$id]['exchange'] = $exchange;
        if ($this->order === null) {
            $this->order = $order;
            $this->loadBegan = microtime(true);
            $worker = end($this->workers) ?: $this->spawn();
            $worker->channel->send('load', $order->encode());
        }
    }

    private function sayLoaded(Exchange $exchange): void
    {
        $said = ['loaded' => true, 'milliseconds' => round((microtime(true) - $this->loadBegan) * 1000, 3)];
        $exchange->complete(200, [['content-type', 'application/json']], Log::json($said));
    }

    private function told(WorkerProcess $worker): void
    {
        $message = $worker->channel->receive();
        if ($message === null) {
            $this->lost($worker);
            return;
        }
        [$word, $data] = $message;
        if ($word === 'loaded' || $word === 'failed') {
            $word === 'loaded' ? $this->ready($worker) : $this->failed($worker, ...explode("\n", $data, 2));
            return;
        }
        $id = $worker->connection;
        $worker->connection = null;
        $worker->since = microtime(true);
        if ($id !== null && isset($this->connections[$id])) {
            $this->connections[$id]['worker'] = null;
            if ($word === 'done' || $this->stopAt !== null) {
                $this->close($id);
            }
        }
    }

    private function ready(WorkerProcess $worker): void
    {
        $worker->isReady = true;
        $worker->since = microtime(true);
        if ($this->loaded) {
            return;
        }
        $this->loaded = true;
        $milliseconds = round((microtime(true) - $this->loadBegan) * 1000, 3);
        Log::emit('INFO', 'runtime', 'loaded', ['filepath' => $this->order->filepath, 'milliseconds' => $milliseconds]);
        $this->answerAsked(fn (Exchange $exchange) => $this->sayLoaded($exchange));
    }

    private function failed(WorkerProcess $worker, string $reason, string $message): void
    {
        Log::emit('ERROR', 'runtime', 'load failed', ['reason' => $reason, 'error' => $message, 'filepath' => $this->order?->filepath]);
        $worker->isGone = true;
        if ($this->loaded) {
            if (array_filter($this->workers, static fn ($it) => $it->isReady && !$it->isGone) === []) {
                exit(1); // a runtime that cannot serve: kubelet starts it anew, and the agent tells of the load
            }
            $this->noSpawnBefore = microtime(true) + 1;
            return; // one more worker was wanted, and those that are there go on
        }
        $this->order = null;
        self::forgetCompiled();
        $this->answerAsked(static fn (Exchange $exchange) => $exchange->fail(500, 'runtime', $reason, $message, 'no'));
        $this->spawn();
    }

    /** What is compiled is known by its file's second: a file that takes its place may have that in common. */
    private static function forgetCompiled(): void
    {
        foreach (array_keys((@opcache_get_status() ?: [])['scripts'] ?? []) as $file) {
            if (!str_starts_with($file, __DIR__)) {
                opcache_invalidate($file, true);
            }
        }
    }

    /** @param callable(Exchange): void $with */
    private function answerAsked(callable $with): void
    {
        foreach (array_keys(array_filter($this->connections, static fn ($it) => $it['asked'])) as $id) {
            $exchange = $this->connections[$id]['exchange'];
            try {
                $with($exchange);
            } catch (\Muon\CallerGone) {
                $exchange->keep = false;
            }
            if ($exchange->keep) {
                $this->connections[$id] = ['asked' => false, 'waits' => false, 'exchange' => null] + $this->connections[$id];
            } else {
                $this->close($id);
            }
        }
    }

    /** A worker has ended: what it was busy with breaks off. */
    private function lost(WorkerProcess $worker): void
    {
        unset($this->workers[$worker->pid]);
        $worker->channel->close();
        $worker->drain();
        if ($worker->connection !== null) {
            $this->close($worker->connection);
        }
        if ($worker->isGone || $this->stopAt !== null) {
            return;
        }
        if ($this->order !== null && !$this->loaded) {
            $this->failed($worker, 'ImportFailed', 'the process ended while it loaded the code: it was killed, or crashed');
        } elseif ($this->workers === []) {
            // Its memory of the code is gone with it; the next is there before it is asked for.
            $this->spawnLoaded();
        }
    }

    /** Lends connections that have something to say to workers that have nothing to do. */
    private function lend(): void
    {
        $coming = count(array_filter($this->workers, static fn ($it) => !$it->isReady));
        foreach ($this->connections as $id => $connection) {
            if (!$connection['waits'] || $connection['asked'] || $connection['worker'] !== null) {
                continue;
            }
            $worker = $this->free();
            if ($worker === null) {
                if ($coming-- <= 0 && count($this->workers) < $this->limit && microtime(true) >= $this->noSpawnBefore) {
                    $this->spawnLoaded();
                }
                continue;
            }
            if ($worker->channel->send('serve', '', $connection['stream'])) {
                $worker->connection = $id;
                $this->connections[$id]['worker'] = $worker->pid;
                $this->connections[$id]['waits'] = false;
            }
        }
    }

    /** The one that was busy last: its memory is the warmest. */
    private function free(): ?WorkerProcess
    {
        $found = null;
        foreach ($this->workers as $worker) {
            if ($worker->isReady && !$worker->isGone && $worker->connection === null && $worker->since > ($found?->since ?? 0)) {
                $found = $worker;
            }
        }
        return $found;
    }

    /** Lets go of workers that a burst has left. */
    private function retire(): void
    {
        foreach ($this->workers as $worker) {
            $isIdle = $worker->isReady && !$worker->isGone && $worker->connection === null;
            if ($isIdle && count($this->workers) > 1 && microtime(true) - $worker->since > self::IDLE_SECONDS) {
                $worker->isGone = true;
                socket_shutdown($worker->channel->socket, 1);
                return;
            }
        }
    }

    private function spawnLoaded(): void
    {
        $this->spawn()->channel->send('load', $this->order->encode());
    }

    private function spawn(): WorkerProcess
    {
        [$ours, $theirs] = Channel::pair();
        [$stdout, $writesOut] = Pipes::open();
        [$stderr, $writesErr] = Pipes::open();
        $pid = pcntl_fork();
        if ($pid === -1) {
            throw new \RuntimeException('no process can be made');
        }
        if ($pid === 0) {
            Pipes::endWithParent();
            Pipes::replace(1, $writesOut);
            Pipes::replace(2, $writesErr);
            $this->forget();
            $ours->close();
            (new Worker($theirs, (int) (getenv('MUON_BODY_LIMIT') ?: self::BODY_LIMIT)))->run();
        }
        Pipes::close($writesOut);
        Pipes::close($writesErr);
        $theirs->close();
        return $this->workers[$pid] = new WorkerProcess($pid, $ours, $stdout, $stderr);
    }

    /** In a worker: lets go of all that is the keeper's. */
    private function forget(): void
    {
        foreach ([SIGTERM, SIGINT, SIGCHLD] as $signal) {
            // Not ignored, which programs that the code starts would inherit; the keeper says when it is over.
            pcntl_signal($signal, $signal === SIGCHLD ? SIG_DFL : static fn () => null);
        }
        foreach ([...$this->listeners, ...array_column($this->connections, 'stream')] as $stream) {
            fclose($stream);
        }
        foreach ($this->workers as $worker) {
            $worker->channel->close();
            fclose($worker->stdout);
            fclose($worker->stderr);
        }
        $this->listeners = $this->connections = $this->workers = [];
    }

    private function bury(): void
    {
        while (pcntl_waitpid(-1, $status, WNOHANG) > 0) {
            // a worker, of whose end its channel tells, or somebody's orphan
        }
    }

    private function close(int $id): void
    {
        $stream = $this->connections[$id]['stream'] ?? null;
        unset($this->connections[$id]);
        if ($stream !== null) {
            // A worker that lies dead may leave a child that holds a copy: the connection ends all the same.
            @stream_socket_shutdown($stream, STREAM_SHUT_RDWR);
            fclose($stream);
        }
    }

    private function stop(): void
    {
        if ($this->stopAt !== null) {
            return;
        }
        Log::emit('INFO', 'runtime', 'stopping', ['graceSeconds' => $this->grace]);
        $this->stopAt = microtime(true) + $this->grace;
    }

    private function isOver(): bool
    {
        if ($this->stopAt === null) {
            return false;
        }
        array_map(fclose(...), $this->listeners);
        $this->listeners = [];
        foreach ($this->connections as $id => $connection) {
            if ($connection['worker'] === null && !$connection['waits']) {
                $this->close($id);
            }
        }
        if ($this->connections === []) {
            foreach ($this->workers as $worker) {
                $worker->drain();
            }
            return true;
        }
        if (microtime(true) < $this->stopAt) {
            return false;
        }
        Log::emit('WARNING', 'runtime', 'the grace period is over; what still runs is cut off');
        return true;
    }
}
