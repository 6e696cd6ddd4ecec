package dev.muon.runtime;

import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.Map;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;

/** The process: the HTTP server, its threads, and its end. */
public final class Main {
    /** Far above any function's concurrency: a bound, not a limit that is met. */
    private static final int THREADS = 512;

    private static final int BACKLOG = 2048;

    private Main() {}

    public static void main(String[] arguments) throws IOException {
        // Proxies close connections that they do not need; a time of ours would close one while a request comes on it.
        System.setProperty("sun.net.httpserver.idleInterval", "3600");
        System.setProperty("sun.net.httpserver.maxIdleConnections", "10000");
        System.setProperty("sun.net.httpserver.nodelay", "true");
        Log.install();
        String address = setting("MUON_ADDRESS", "");
        int port = Integer.parseInt(setting("MUON_PORT", "8888"));
        long grace = (long) (Double.parseDouble(setting("MUON_GRACE_SECONDS", "25")) * 1000);
        InetSocketAddress place =
                address.isEmpty() ? new InetSocketAddress(port) : new InetSocketAddress(InetAddress.getByName(address), port);
        HttpServer server = HttpServer.create(place, BACKLOG);
        Front front = new Front();
        server.createContext("/", front);
        server.setExecutor(threads());
        Runtime.getRuntime().addShutdownHook(new Thread(() -> stop(front, grace), "stop"));
        server.start();
        Log.runtime("INFO", "listening", Map.of("port", server.getAddress().getPort()));
    }

    /** A thread for each request that is there; those that wait for the next end after a minute. */
    private static ThreadPoolExecutor threads() {
        ThreadPoolExecutor threads =
                new ThreadPoolExecutor(THREADS, THREADS, 60, TimeUnit.SECONDS, new LinkedBlockingQueue<>());
        threads.allowCoreThreadTimeOut(true);
        return threads;
    }

    /** Finishes the requests in flight, but not longer than the grace period lasts. */
    private static void stop(Front front, long grace) {
        Log.runtime("INFO", "stopping", Map.of("graceSeconds", grace / 1000.0));
        boolean finished = front.awaitQuiet(grace);
        if (finished) {
            Log.runtime("INFO", "stopped", Map.of());
        } else {
            Log.runtime("WARNING", "the grace period is over; what still runs is cut off", Map.of());
        }
        Runtime.getRuntime().halt(0);
    }

    private static String setting(String name, String otherwise) {
        String value = System.getenv(name);
        return value == null || value.isEmpty() ? otherwise : value;
    }
}
