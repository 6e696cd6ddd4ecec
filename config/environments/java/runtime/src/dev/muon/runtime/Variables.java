package dev.muon.runtime;

import java.lang.reflect.Field;
import java.util.HashMap;
import java.util.Map;

/**
 * Variables that come with a load. Java reads its environment once, at the start; here that picture of it is changed,
 * which System.getenv and processes that are started later then see. The image opens what this needs (`--add-opens`).
 */
final class Variables {
    private Variables() {}

    static String checked(String name) {
        if (name.isEmpty() || name.indexOf('=') >= 0 || name.indexOf('\0') >= 0) {
            throw new IllegalArgumentException("env must map names to text");
        }
        return name;
    }

    /** Sets them and returns what was there: null for a name that was not. */
    static Map<String, String> set(Map<String, String> variables) throws Failure {
        Map<String, String> before = new HashMap<>();
        if (variables.isEmpty()) {
            return before;
        }
        Map<String, String> environment = environment();
        variables.forEach((name, value) -> before.put(name, environment.put(name, value)));
        return before;
    }

    static void restore(Map<String, String> before) throws Failure {
        if (before.isEmpty()) {
            return;
        }
        Map<String, String> environment = environment();
        before.forEach((name, value) -> {
            if (value == null) {
                environment.remove(name);
            } else {
                environment.put(name, value);
            }
        });
    }

    @SuppressWarnings("unchecked")
    private static Map<String, String> environment() throws Failure {
        try {
            Map<String, String> readOnly = System.getenv();
            Field inner = readOnly.getClass().getDeclaredField("m");
            inner.setAccessible(true);
            return (Map<String, String>) inner.get(readOnly);
        } catch (ReflectiveOperationException | RuntimeException closed) {
            throw new Failure(500, "EnvNotTaken", "variables cannot be set in this JVM: " + closed.getMessage());
        }
    }
}
