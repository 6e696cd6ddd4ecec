package dev.muon.runtime;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpHandler;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.UUID;

/** Which request is ours and which the user's; and how many of those are being answered. */
final class Front implements HttpHandler {
    private final Loading loading = new Loading();
    private int inFlight;

    @Override
    public void handle(HttpExchange exchange) throws IOException {
        String method = exchange.getRequestMethod();
        String path = exchange.getRequestURI().getRawPath();
        if (path.equals("/healthz") && (method.equals("GET") || method.equals("HEAD"))) {
            Answers.text(exchange, 200, "ok\n");
        } else if (method.equals("POST") && (path.equals("/v2/specialize") || path.equals("/specialize"))) {
            loading.serve(exchange, path.equals("/specialize"));
        } else {
            serveFunction(exchange);
        }
    }

    private void serveFunction(HttpExchange exchange) throws IOException {
        Entry entry = loading.entry();
        String id = exchange.getRequestHeaders().getFirst("X-Request-Id");
        if (entry == null) {
            String message = "no function is loaded in this pod yet";
            Answers.error(exchange, 503, "runtime", "NotLoaded", message, id, "no");
            return;
        }
        begin();
        String known = id == null ? UUID.randomUUID().toString() : id;
        Log.REQUEST.set(known);
        try {
            entry.serve(exchange, known);
        } catch (Answers.ReplyInvalid invalid) {
            Log.function("ERROR", "the reply of the handler cannot be sent", Map.of("error", invalid.getMessage()));
            fail(exchange, known, "ReplyInvalid", invalid.getMessage());
        } catch (Throwable thrown) {
            if (exchange.getResponseCode() != -1 && Answers.isBrokenConnection(thrown)) {
                throw (IOException) thrown;
            }
            Map<String, Object> more = new LinkedHashMap<>();
            more.put("error", thrown.toString());
            more.put("traceback", Log.userStack(thrown));
            Log.function("ERROR", "the handler raised", more);
            fail(exchange, known, "Exception", thrown.toString());
        } finally {
            Log.flush();
            Log.REQUEST.remove();
            end();
        }
    }

    private static void fail(HttpExchange exchange, String id, String reason, String message) throws IOException {
        if (exchange.getResponseCode() != -1) {
            // The status has left: only a cut can say that the rest does not come. The server cuts on this.
            throw new IOException("the handler failed after it had begun to answer");
        }
        exchange.getResponseHeaders().clear();
        Answers.error(exchange, 500, "function", reason, message, id, "yes");
    }

    private synchronized void begin() {
        inFlight++;
    }

    private synchronized void end() {
        inFlight--;
        notifyAll();
    }

    /** Waits until nothing is being answered; false when that takes longer. */
    synchronized boolean awaitQuiet(long milliseconds) {
        long deadline = System.nanoTime() + milliseconds * 1_000_000;
        while (inFlight > 0) {
            long left = (deadline - System.nanoTime()) / 1_000_000;
            if (left <= 0) {
                return false;
            }
            try {
                wait(left);
            } catch (InterruptedException interrupted) {
                return false;
            }
        }
        return true;
    }
}
