package dev.muon.runtime;

import com.sun.net.httpserver.HttpHandler;
import dev.muon.Handler;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.net.MalformedURLException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeSet;
import java.util.stream.Stream;

/** From a package and an entrypoint to what is called: `com.example.Hello.handle`, or a class that is a handler. */
final class Finder {
    private Finder() {}

    static Entry find(String filepath, String entrypoint) throws Failure {
        Path root = Path.of(filepath);
        if (!Files.exists(root)) {
            throw new Failure(500, "PackageNotFound", "there is nothing at " + filepath);
        }
        List<Path> places = places(root);
        // It stays open as long as the process: classes are loaded when they are first needed.
        ClassLoader loader = new URLClassLoader(urls(places), Finder.class.getClassLoader());
        Thread.currentThread().setContextClassLoader(loader);
        String name = entrypoint.replace("::", ".");
        if (name.isEmpty()) {
            throw notFound("an entrypoint is needed, as com.example.Hello.handle", root);
        }
        try {
            Class<?> whole = classOf(loader, name);
            if (whole != null) {
                return ofClass(whole);
            }
            int dot = name.lastIndexOf('.');
            Class<?> owner = dot < 0 ? null : classOf(loader, name.substring(0, dot));
            if (owner == null) {
                throw notFound("the package has no class " + (dot < 0 ? name : name.substring(0, dot)), root);
            }
            return ofMethod(owner, name.substring(dot + 1));
        } catch (Failure failure) {
            throw failure;
        } catch (InvocationTargetException | LinkageError broken) {
            Throwable cause = broken.getCause() == null ? broken : broken.getCause();
            throw new Failure(500, "ImportFailed", Log.shortStack(cause));
        } catch (ReflectiveOperationException impossible) {
            throw new Failure(500, "EntrypointInvalid", impossible.toString());
        }
    }

    /** Null where there is none; what its static code throws is an error of the package. */
    private static Class<?> classOf(ClassLoader loader, String name) {
        try {
            return Class.forName(name, true, loader);
        } catch (ClassNotFoundException missing) {
            return null;
        }
    }

    private static Entry ofClass(Class<?> type) throws ReflectiveOperationException, Failure {
        if (Handler.class.isAssignableFrom(type) || HttpHandler.class.isAssignableFrom(type)) {
            Object made = type.getDeclaredConstructor().newInstance();
            return made instanceof Handler handler ? Entry.of(handler) : Entry.of((HttpHandler) made);
        }
        return ofMethod(type, "handle");
    }

    private static Entry ofMethod(Class<?> owner, String name) throws ReflectiveOperationException, Failure {
        TreeSet<String> others = new TreeSet<>();
        String wrong = null;
        for (Method method : owner.getDeclaredMethods()) {
            if (!Modifier.isPublic(method.getModifiers()) || method.isSynthetic()) {
                continue;
            }
            if (!method.getName().equals(name)) {
                others.add(owner.getName() + "." + method.getName());
                continue;
            }
            if (Entry.takes(method)) {
                boolean isStatic = Modifier.isStatic(method.getModifiers());
                method.setAccessible(true);
                return Entry.of(method, isStatic ? null : owner.getDeclaredConstructor().newInstance());
            }
            wrong = method.toString();
        }
        if (wrong != null) {
            throw new Failure(500, "EntrypointInvalid", wrong + " is no handler: it takes nothing, a dev.muon.Request, or a "
                    + "com.sun.net.httpserver.HttpExchange");
        }
        throw new Failure(500, "EntrypointNotFound", owner.getName() + " has no public method " + name + "; it has: "
                + String.join(", ", others));
    }

    /** Where classes are: the package itself, its folder classes, and every jar in it and in its folder lib. */
    private static List<Path> places(Path root) throws Failure {
        if (Files.isRegularFile(root)) {
            return List.of(root);
        }
        List<Path> places = new ArrayList<>(List.of(root, root.resolve("classes")));
        for (Path folder : List.of(root, root.resolve("lib"))) {
            if (Files.isDirectory(folder)) {
                try (Stream<Path> files = Files.list(folder)) {
                    files.filter(file -> file.toString().endsWith(".jar")).sorted().forEach(places::add);
                } catch (IOException | UncheckedIOException unreadable) {
                    throw new Failure(500, "PackageNotFound", unreadable.toString());
                }
            }
        }
        return places;
    }

    private static URL[] urls(List<Path> places) throws Failure {
        URL[] urls = new URL[places.size()];
        try {
            for (int at = 0; at < urls.length; at++) {
                // A folder that is not there yet would be taken for a jar: it must end with a slash.
                Path place = places.get(at);
                String text = place.toUri().toString();
                urls[at] = new URL(Files.isRegularFile(place) || text.endsWith("/") ? text : text + "/");
            }
        } catch (MalformedURLException impossible) {
            throw new Failure(500, "PackageNotFound", impossible.toString());
        }
        return urls;
    }

    private static Failure notFound(String message, Path root) {
        TreeSet<String> found = new TreeSet<>();
        boolean source = false;
        try (Stream<Path> files = Files.walk(root, 12)) {
            for (Path file : (Iterable<Path>) files.limit(10_000)::iterator) {
                String name = file.toString();
                source |= name.endsWith(".java");
                if (name.endsWith(".class") && !name.contains("$") && found.size() < 20) {
                    Path inside = root.relativize(file);
                    Path own = inside.startsWith("classes") ? Path.of("classes").relativize(inside) : inside;
                    found.add(own.toString().replaceAll("\\.class$", "").replace('/', '.'));
                }
            }
        } catch (IOException | UncheckedIOException unreadable) {
            found.clear();
        }
        String has = found.isEmpty() ? "" : "; it has: " + String.join(", ", found);
        String hint = source && found.isEmpty() ? " (is it source code? then its Package needs `build: {}`)" : "";
        return new Failure(500, "EntrypointNotFound", message + has + hint);
    }
}
