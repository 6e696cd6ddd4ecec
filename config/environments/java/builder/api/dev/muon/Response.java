package dev.muon;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/** What a function answers: a status, header fields, and a body, whole or in pieces. */
public final class Response {
    /** Writes a body piece by piece; each flush reaches the caller. */
    @FunctionalInterface
    public interface Body {
        void writeTo(OutputStream out) throws Exception;
    }

    private final int status;
    private final byte[] bytes;
    private final Body pieces;
    private final List<String[]> headers = new ArrayList<>();

    private Response(int status, byte[] bytes, Body pieces, String type) {
        this.status = status;
        this.bytes = bytes;
        this.pieces = pieces;
        header("Content-Type", type);
    }

    public static Response of(int status, String text) {
        return new Response(status, text.getBytes(StandardCharsets.UTF_8), null, "text/plain; charset=utf-8");
    }

    public static Response of(int status, byte[] bytes) {
        return new Response(status, bytes, null, "application/octet-stream");
    }

    public static Response json(String text) {
        return new Response(200, text.getBytes(StandardCharsets.UTF_8), null, "application/json");
    }

    public static Response stream(Body pieces) {
        return new Response(200, null, pieces, "application/octet-stream");
    }

    public static Response stream(InputStream pieces) {
        return stream(out -> {
            try (pieces) {
                byte[] buffer = new byte[8192];
                for (int count = pieces.read(buffer); count >= 0; count = pieces.read(buffer)) {
                    out.write(buffer, 0, count);
                    out.flush();
                }
            }
        });
    }

    /** The same body with another status. */
    public Response status(int status) {
        Response other = new Response(status, bytes, pieces, "");
        other.headers.clear();
        other.headers.addAll(headers);
        return other;
    }

    /** Sets a header field; Set-Cookie may stand more than once. */
    public Response header(String name, String value) {
        if (!name.equalsIgnoreCase("Set-Cookie")) {
            headers.removeIf(header -> header[0].equalsIgnoreCase(name));
        }
        headers.add(new String[] {name, value});
        return this;
    }

    public int status() {
        return status;
    }

    /** Pairs of name and value. */
    public List<String[]> headers() {
        return headers;
    }

    /** The body's length; -1 where it comes in pieces. */
    public long length() {
        return bytes == null ? -1 : bytes.length;
    }

    public void writeTo(OutputStream out) throws Exception {
        if (bytes == null) {
            pieces.writeTo(out);
        } else {
            out.write(bytes);
        }
    }
}
