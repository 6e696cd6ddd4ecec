<?php
declare(strict_types=1);

namespace Muon\Runtime;

use Muon\BodyTooLarge;
use Muon\CallerGone;
use Muon\Request;

/** One process with the user's code: it loads once, then handles one request at a time on connections that it is lent. */
final class Worker
{
    private const FATAL = E_ERROR | E_PARSE | E_CORE_ERROR | E_COMPILE_ERROR | E_USER_ERROR | E_RECOVERABLE_ERROR;

    /** So long a caller may be silent in the middle of its request, or take nothing of the reply. */
    private const CALLER_SECONDS = 600;

    private ?\Closure $handler = null;
    private ?Loader $loader = null;
    private ?Exchange $current = null;
    /** Memory for the last words of a process that has none left. */
    private ?string $reserve = '';

    public function __construct(private readonly Channel $keeper, private readonly int $bodyLimit)
    {
    }

    public function run(): never
    {
        $this->reserve = str_repeat('x', 1 << 16);
        ini_set('display_errors', '0'); // said by us, with the request's id
        set_error_handler(self::notice(...));
        register_shutdown_function($this->lastWords(...));
        while (($message = $this->keeper->receive()) !== null) {
            [$word, $data, $connection] = $message;
            match ($word) {
                'load' => $this->load(Order::decode($data)),
                'serve' => $this->serve($connection),
            };
        }
        exit(0);
    }

    private function load(Order $order): void
    {
        ob_start();
        try {
            $this->loader = new Loader($order);
            $this->handler = $this->loader->load();
            $said = ['loaded', ''];
        } catch (LoadFailure $failure) {
            $said = ['failed', "$failure->reason\n{$failure->getMessage()}"];
        }
        self::logEchoed((string) ob_get_clean());
        $this->loader = null;
        $this->keeper->send($said[0], substr($said[1], 0, Channel::LIMIT / 4));
        if ($said[0] === 'failed') {
            $this->leave();
        }
    }

    /** @param resource $connection */
    private function serve($connection): void
    {
        stream_set_timeout($connection, self::CALLER_SECONDS);
        $buffer = '';
        do {
            $exchange = Exchange::begin($connection, $buffer, $this->bodyLimit);
            if ($exchange !== null) {
                $this->answer($exchange);
            }
            // What came already of the next request is here, and nowhere else.
        } while ($exchange?->keep && $buffer !== '');
        $this->keeper->send($exchange?->keep ? 'kept' : 'done');
    }

    private function answer(Exchange $exchange): void
    {
        $this->announce($exchange->requestId);
        $this->current = $exchange;
        try {
            if ($exchange->target === '/healthz' && $exchange->method === 'GET') {
                $exchange->complete(200, [['content-type', 'text/plain']], "ok\n");
            } else {
                $this->call($exchange);
            }
            $exchange->finish();
        } catch (CallerGone) {
            $exchange->keep = false;
        }
        $this->current = null;
        $this->announce('');
    }

    private function call(Exchange $exchange): void
    {
        ob_start();
        try {
            $value = ($this->handler)(new Request($exchange));
            $reply = Reply::of($value, $echoed = (string) ob_get_clean());
            if ($value !== null) {
                self::logEchoed($echoed);
            }
            ob_start(self::logPieces(...), 1);
            $exchange->send($reply);
        } catch (CallerGone $gone) {
            throw $gone;
        } catch (BodyTooLarge $error) {
            $exchange->fail(413, 'runtime', 'BodyTooLarge', $error->getMessage(), 'yes');
        } catch (ReplyInvalid $error) {
            Log::emit('ERROR', 'function', "the handler's reply cannot be sent", ['error' => $error->getMessage()]);
            $exchange->fail(500, 'function', 'ReplyInvalid', $error->getMessage(), 'yes');
        } catch (\Throwable $error) {
            Log::thrown('the handler raised', $error);
            $exchange->fail(500, 'function', 'Exception', Log::describe($error), 'yes');
        } finally {
            while (ob_get_level() > 0) {
                self::logEchoed((string) ob_get_clean());
            }
        }
    }

    /** Tells the keeper whose lines follow on stdout and stderr. */
    private function announce(string $requestId): void
    {
        Log::$requestId = $requestId === '' ? null : $requestId;
        $mark = "\x01" . strtr($requestId, "\r\n", '  ') . "\n";
        @fwrite(STDOUT, $mark);
        @fwrite(STDERR, $mark);
    }

    /** Ends the process without the last words. */
    private function leave(): never
    {
        $this->reserve = null;
        exit(0);
    }

    /** What PHP does when the code calls exit(), or fails in a way that cannot be caught. */
    private function lastWords(): void
    {
        if ($this->reserve === null) {
            return;
        }
        $this->reserve = null;
        $error = error_get_last();
        $isFatal = $error !== null && ($error['type'] & self::FATAL) !== 0;
        $words = $isFatal ? $error['message'] : 'the code called exit()';
        if ($this->loader !== null) {
            $where = $isFatal ? $this->loader->describe(new \ErrorException($words, 0, $error['type'], $error['file'], $error['line'])) : $words;
            $this->keeper->send('failed', "ImportFailed\n" . str_replace('ErrorException: ', '', $where));
        } elseif ($this->current !== null) {
            $this->lastReply($isFatal ? $words . " in {$error['file']}:{$error['line']}" : null);
            $this->keeper->send('done');
        }
    }

    private function lastReply(?string $fatal): void
    {
        $exchange = $this->current;
        $exchange->keep = false;
        try {
            if ($fatal !== null) {
                Log::emit('ERROR', 'function', 'the handler ended its process', ['error' => $fatal]);
                $exchange->fail(500, 'function', 'FatalError', $fatal, 'yes');
            } elseif (!$exchange->began) {
                // exit() is how scripts end: what was printed is the reply.
                $exchange->send(Reply::of(null, ob_get_level() > 0 ? (string) ob_get_clean() : ''));
            }
        } catch (CallerGone) {
            // then nobody waits for it
        }
    }

    /** Warnings and notices: logged with their place, and the code goes on. */
    private static function notice(int $kind, string $message, string $file, int $line): bool
    {
        if (error_reporting() & $kind) {
            Log::emit('WARNING', 'function', $message, ['at' => "$file:$line"]);
        }
        return true;
    }

    private static function logPieces(string $text): string
    {
        self::logEchoed($text);
        return '';
    }

    private static function logEchoed(string $text): void
    {
        foreach (explode("\n", $text) as $line) {
            if (trim($line) !== '') {
                Log::write(Keeper::asRecord($line, 'INFO', Log::$requestId));
            }
        }
    }
}
