package dev.muon.runtime;

import com.sun.net.httpserver.HttpExchange;
import dev.muon.Request;
import java.io.InputStream;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A request as the server has it. */
final class Asked implements Request {
    private static final String PARAMETER = "muon-path-param-";

    private final HttpExchange exchange;
    private final String id;
    private Map<String, List<String>> query;
    private Map<String, String> params;

    Asked(HttpExchange exchange, String id) {
        this.exchange = exchange;
        this.id = id;
    }

    @Override
    public String method() {
        return exchange.getRequestMethod();
    }

    @Override
    public String path() {
        return exchange.getRequestURI().getPath();
    }

    @Override
    public Map<String, String> params() {
        if (params == null) {
            params = new LinkedHashMap<>();
            exchange.getRequestHeaders().forEach((name, values) -> {
                if (name.toLowerCase().startsWith(PARAMETER)) {
                    params.put(name.substring(PARAMETER.length()).toLowerCase(), decode(values.get(0).replace("+", "%2B")));
                }
            });
        }
        return params;
    }

    @Override
    public Map<String, List<String>> query() {
        if (query == null) {
            query = new LinkedHashMap<>();
            String raw = exchange.getRequestURI().getRawQuery();
            for (String pair : raw == null ? new String[0] : raw.split("&")) {
                if (!pair.isEmpty()) {
                    int at = pair.indexOf('=');
                    String name = decode(at < 0 ? pair : pair.substring(0, at));
                    query.computeIfAbsent(name, key -> new ArrayList<>()).add(at < 0 ? "" : decode(pair.substring(at + 1)));
                }
            }
        }
        return query;
    }

    /** What is not valid stays as it is. */
    private static String decode(String text) {
        try {
            return URLDecoder.decode(text, StandardCharsets.UTF_8);
        } catch (IllegalArgumentException invalid) {
            return text;
        }
    }

    @Override
    public Map<String, List<String>> headers() {
        return exchange.getRequestHeaders();
    }

    @Override
    public String requestId() {
        return id;
    }

    @Override
    public InputStream body() {
        return exchange.getRequestBody();
    }
}
