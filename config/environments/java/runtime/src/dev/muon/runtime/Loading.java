package dev.muon.runtime;

import com.sun.net.httpserver.HttpExchange;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;

/** The load contract: who may order a load, that a pod loads once, and that the same order twice is one load. */
final class Loading {
    private static final int ORDER_LIMIT = 1 << 20;

    private volatile Entry entry;
    private String filepath;
    private String entrypoint;

    Entry entry() {
        return entry;
    }

    void serve(HttpExchange exchange, boolean first) throws IOException {
        String id = exchange.getRequestHeaders().getFirst("X-Request-Id");
        try {
            if (!exchange.getRemoteAddress().getAddress().isLoopbackAddress()) {
                throw new Failure(403, "NotLoopback", "a load is taken from this pod only");
            }
            long milliseconds = first ? load(v1File(), "", Map.of()) : load(exchange);
            Answers.json(exchange, 200, Map.of("loaded", true, "milliseconds", milliseconds));
        } catch (Failure failure) {
            Answers.error(exchange, failure.status, "runtime", failure.reason, failure.getMessage(), id, "no");
        }
    }

    private static String v1File() {
        String file = System.getenv("MUON_V1_FILE");
        return file == null ? "/userfunc/user" : file;
    }

    private long load(HttpExchange exchange) throws IOException, Failure {
        byte[] body = exchange.getRequestBody().readNBytes(ORDER_LIMIT + 1);
        Map<String, String> variables = new LinkedHashMap<>();
        String path;
        String name;
        try {
            if (body.length > ORDER_LIMIT) {
                throw new IllegalArgumentException("the body is too large");
            }
            if (!(Json.read(new String(body, StandardCharsets.UTF_8)) instanceof Map<?, ?> order)) {
                throw new IllegalArgumentException("the body is not a JSON object");
            }
            path = text(order.get("filepath"), "filepath");
            name = order.get("functionName") == null ? "" : text(order.get("functionName"), "functionName");
            if (path.isEmpty() || path.indexOf('\0') >= 0) {
                throw new IllegalArgumentException("filepath must be the path of the unpacked package");
            }
            if (order.get("env") != null) {
                if (!(order.get("env") instanceof Map<?, ?> env)) {
                    throw new IllegalArgumentException("env must map names to text");
                }
                env.forEach((key, value) -> variables.put(Variables.checked((String) key), text(value, "env")));
            }
        } catch (IllegalArgumentException invalid) {
            throw new Failure(400, "OrderInvalid", invalid.getMessage());
        }
        return load(path, name, variables);
    }

    private static String text(Object value, String name) {
        if (value instanceof String text && text.indexOf('\0') < 0) {
            return text;
        }
        throw new IllegalArgumentException(name + " must be text");
    }

    private synchronized long load(String path, String name, Map<String, String> variables) throws Failure {
        if (entry != null) {
            if (path.equals(filepath) && name.equals(entrypoint)) {
                return 0;
            }
            String message = "this pod is already loaded, with " + entrypoint + " of " + filepath;
            throw new Failure(400, "AlreadyLoaded", message);
        }
        long begun = System.nanoTime();
        Map<String, String> before = Variables.set(variables);
        try {
            entry = Finder.find(path, name);
        } catch (Failure failure) {
            Variables.restore(before);
            Log.runtime("ERROR", "load failed", Map.of("error", failure.getMessage(), "entrypoint", name));
            throw failure;
        }
        filepath = path;
        entrypoint = name;
        long milliseconds = (System.nanoTime() - begun) / 1_000_000;
        Log.runtime("INFO", "loaded", Map.of("entrypoint", name, "milliseconds", milliseconds));
        return milliseconds;
    }
}
