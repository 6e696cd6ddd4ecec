package dev.muon;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;

/** What a function is asked. */
public interface Request {
    String method();

    /** The path, percent-decoded. */
    String path();

    /** Parameters of the route's path pattern, by name in lower case. */
    Map<String, String> params();

    /** The query string's values, by name, in their order. */
    Map<String, List<String>> query();

    /** The first value of this name in the query string, or null. */
    default String query(String name) {
        List<String> values = query().get(name);
        return values == null ? null : values.get(0);
    }

    /** The header fields, by name in any case. */
    Map<String, List<String>> headers();

    /** The first header field of this name, or null. */
    default String header(String name) {
        List<String> values = headers().get(name);
        return values == null || values.isEmpty() ? null : values.get(0);
    }

    String requestId();

    /** The body as it arrives. */
    InputStream body();

    /** The whole body as text. */
    default String text() throws IOException {
        return new String(body().readAllBytes(), StandardCharsets.UTF_8);
    }
}
