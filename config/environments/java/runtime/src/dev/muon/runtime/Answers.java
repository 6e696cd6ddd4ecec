package dev.muon.runtime;

import com.sun.net.httpserver.HttpExchange;
import dev.muon.Response;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;

/** From what a handler returned to bytes; and the JSON shape of every error of ours. */
final class Answers {
    /** The server frames the message: a handler's own idea of that would only contradict it. */
    private static final Set<String> FRAMING =
            Set.of("content-length", "transfer-encoding", "connection", "keep-alive", "upgrade");

    private Answers() {}

    /** A handler returned something that cannot be sent. */
    static final class ReplyInvalid extends Exception {
        private static final long serialVersionUID = 1;

        ReplyInvalid(String message) {
            super(message);
        }
    }

    static Response toResponse(Object value) throws ReplyInvalid {
        if (value instanceof Response response) {
            if (response.status() < 200 || response.status() > 599) {
                throw new ReplyInvalid(response.status() + " is not a status that a function can reply with (200 to 599)");
            }
            return response;
        }
        if (value == null) {
            return Response.of(204, new byte[0]);
        }
        if (value instanceof CharSequence text) {
            return Response.of(200, text.toString());
        }
        if (value instanceof byte[] bytes) {
            return Response.of(200, bytes);
        }
        if (value instanceof InputStream stream) {
            return Response.stream(stream);
        }
        throw new ReplyInvalid("a " + value.getClass().getName() + " is not a reply: return a dev.muon.Response, text, "
                + "bytes, an InputStream or null");
    }

    static void send(HttpExchange exchange, Response response) throws Exception {
        for (String[] header : response.headers()) {
            if (!FRAMING.contains(header[0].toLowerCase())) {
                exchange.getResponseHeaders().add(header[0], header[1]);
            }
        }
        boolean empty = exchange.getRequestMethod().equals("HEAD") || response.status() == 204 || response.status() == 304;
        if (empty || response.length() == 0) {
            exchange.sendResponseHeaders(response.status(), -1);
            exchange.close();
            return;
        }
        // The server means "in pieces" by 0.
        exchange.sendResponseHeaders(response.status(), response.length() < 0 ? 0 : response.length());
        OutputStream out = exchange.getResponseBody();
        response.writeTo(out);
        out.close();
        exchange.close();
    }

    /** Whether an error is that the connection broke under us. */
    static boolean isBrokenConnection(Throwable thrown) {
        String message = thrown instanceof IOException ? String.valueOf(thrown.getMessage()) : "";
        return message.contains("Broken pipe") || message.contains("Connection reset") || message.contains("closed");
    }

    static void text(HttpExchange exchange, int status, String text) throws IOException {
        write(exchange, status, "text/plain", text);
    }

    static void json(HttpExchange exchange, int status, Map<String, ?> value) throws IOException {
        write(exchange, status, "application/json", Json.write(value));
    }

    private static void write(HttpExchange exchange, int status, String type, String text) throws IOException {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        exchange.getResponseHeaders().set("Content-Type", type);
        boolean head = exchange.getRequestMethod().equals("HEAD");
        exchange.sendResponseHeaders(status, head ? -1 : bytes.length);
        if (!head) {
            exchange.getResponseBody().write(bytes);
        }
        exchange.close();
    }

    /** An error that says whose it is and whether user code ran. */
    static void error(
            HttpExchange exchange, int status, String component, String reason, String message, String id, String executed)
            throws IOException {
        Map<String, Object> told = new LinkedHashMap<>();
        told.put("component", component);
        told.put("reason", reason);
        told.put("message", message);
        told.put("requestId", id);
        told.put("executed", executed);
        json(exchange, status, told);
    }
}
