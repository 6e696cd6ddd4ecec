package dev.muon.runtime;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpHandler;
import dev.muon.Handler;
import dev.muon.Request;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;

/** The user's function, whatever form it has. */
interface Entry {
    void serve(HttpExchange exchange, String id) throws Throwable;

    static Entry of(Handler handler) {
        return (exchange, id) -> Answers.send(exchange, Answers.toResponse(handler.handle(new Asked(exchange, id))));
    }

    static Entry of(HttpHandler handler) {
        return (exchange, id) -> {
            handler.handle(exchange);
            exchange.close();
        };
    }

    static boolean takes(Method method) {
        Class<?>[] types = method.getParameterTypes();
        return types.length == 0 || (types.length == 1 && (types[0] == Request.class || types[0] == HttpExchange.class));
    }

    /** `owner` is null for a static method. */
    static Entry of(Method method, Object owner) {
        Class<?>[] types = method.getParameterTypes();
        if (types.length == 1 && types[0] == HttpExchange.class) {
            return (exchange, id) -> {
                call(method, owner, exchange);
                exchange.close();
            };
        }
        if (types.length == 0) {
            return (exchange, id) -> Answers.send(exchange, Answers.toResponse(call(method, owner)));
        }
        return (exchange, id) -> Answers.send(exchange, Answers.toResponse(call(method, owner, new Asked(exchange, id))));
    }

    private static Object call(Method method, Object owner, Object... arguments) throws Throwable {
        try {
            return method.invoke(owner, arguments);
        } catch (InvocationTargetException thrown) {
            throw thrown.getCause();
        }
    }
}
