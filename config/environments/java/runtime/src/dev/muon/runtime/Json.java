package dev.muon.runtime;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** As much of JSON as orders and records need: Java brings none. */
final class Json {
    private static final int DEEPEST = 64;

    private final String text;
    private int at;

    private Json(String text) {
        this.text = text;
    }

    /** Maps, lists, strings, doubles, booleans and null; an IllegalArgumentException says where it is not JSON. */
    static Object read(String text) {
        Json json = new Json(text);
        Object value = json.value(0);
        if (json.peek() != 0) {
            throw json.unexpected();
        }
        return value;
    }

    static boolean isObject(String text) {
        try {
            return read(text) instanceof Map;
        } catch (IllegalArgumentException other) {
            return false;
        }
    }

    private Object value(int depth) {
        if (depth > DEEPEST) {
            throw new IllegalArgumentException("the JSON is too deep");
        }
        char next = peek();
        if (next == '{') {
            return object(depth);
        }
        if (next == '[') {
            return list(depth);
        }
        if (next == '"') {
            return string();
        }
        for (Map.Entry<String, Object> word : WORDS.entrySet()) {
            if (text.startsWith(word.getKey(), at)) {
                at += word.getKey().length();
                return word.getValue();
            }
        }
        int from = at;
        while (at < text.length() && "+-.eE0123456789".indexOf(text.charAt(at)) >= 0) {
            at++;
        }
        try {
            return Double.valueOf(text.substring(from, at));
        } catch (NumberFormatException none) {
            throw unexpected();
        }
    }

    private static final Map<String, Object> WORDS = new LinkedHashMap<>();

    static {
        WORDS.put("true", true);
        WORDS.put("false", false);
        WORDS.put("null", null);
    }

    private Map<String, Object> object(int depth) {
        Map<String, Object> found = new LinkedHashMap<>();
        at++;
        while (peek() != '}') {
            if (!found.isEmpty()) {
                expect(',');
            }
            if (peek() != '"') {
                throw unexpected();
            }
            String name = string();
            expect(':');
            found.put(name, value(depth + 1));
        }
        at++;
        return found;
    }

    private List<Object> list(int depth) {
        List<Object> found = new ArrayList<>();
        at++;
        while (peek() != ']') {
            if (!found.isEmpty()) {
                expect(',');
            }
            found.add(value(depth + 1));
        }
        at++;
        return found;
    }

    private String string() {
        StringBuilder found = new StringBuilder();
        for (at++; at < text.length(); at++) {
            char next = text.charAt(at);
            if (next == '"') {
                at++;
                return found.toString();
            }
            found.append(next == '\\' ? escaped() : next);
        }
        throw unexpected();
    }

    private char escaped() {
        at++;
        char next = at < text.length() ? text.charAt(at) : 0;
        int simple = "\"\\/bfnrt".indexOf(next);
        if (simple >= 0) {
            return "\"\\/\b\f\n\r\t".charAt(simple);
        }
        if (next == 'u' && at + 4 < text.length()) {
            at += 4;
            try {
                return (char) Integer.parseInt(text.substring(at - 3, at + 1), 16);
            } catch (NumberFormatException none) {
                throw unexpected();
            }
        }
        throw unexpected();
    }

    private char peek() {
        while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) {
            at++;
        }
        return at < text.length() ? text.charAt(at) : 0;
    }

    private void expect(char wanted) {
        if (peek() != wanted) {
            throw unexpected();
        }
        at++;
    }

    private IllegalArgumentException unexpected() {
        return new IllegalArgumentException("the body is not JSON at character " + at);
    }

    static String write(Object value) {
        StringBuilder text = new StringBuilder();
        write(value, text);
        return text.toString();
    }

    private static void write(Object value, StringBuilder text) {
        if (value == null || value instanceof Boolean || value instanceof Number) {
            text.append(value);
        } else if (value instanceof Map<?, ?> map) {
            String separator = "{";
            for (Map.Entry<?, ?> entry : map.entrySet()) {
                text.append(separator);
                separator = ",";
                quote(entry.getKey().toString(), text);
                text.append(':');
                write(entry.getValue(), text);
            }
            text.append(map.isEmpty() ? "{}" : "}");
        } else {
            quote(value.toString(), text);
        }
    }

    private static void quote(String value, StringBuilder text) {
        text.append('"');
        for (int at = 0; at < value.length(); at++) {
            char next = value.charAt(at);
            int simple = "\"\\\b\f\n\r\t".indexOf(next);
            if (simple >= 0) {
                text.append('\\').append("\"\\bfnrt".charAt(simple));
            } else if (next < ' ' || Character.isSurrogate(next)) {
                text.append(String.format("\\u%04x", (int) next));
            } else {
                text.append(next);
            }
        }
        text.append('"');
    }
}
