package dev.muon.build;

import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** A Maven project: its own jar and those it needs when it runs end up in `lib`. */
final class Maven {
    /** Where the Environment's ConfigMap of registries lies in a build pod. */
    private static final Path SETTINGS = Path.of("/etc/muon/registries/settings.xml");

    private final Path project;
    private final Path work;
    private final Path repository;
    private final Path api;

    Maven(Path project, Path work, Path api) {
        this.project = project;
        this.work = work;
        this.api = api;
        this.repository = work.resolve("repository");
    }

    void build(Path target) throws IOException, BuildFailure {
        // The API is there as if it had been installed: `dev.muon:muon-function:1`, scope provided.
        Path place = repository.resolve("dev/muon/muon-function/1");
        Trees.copyFile(api.resolve("muon-function.jar"), place.resolve("muon-function-1.jar"));
        Trees.copyFile(api.resolve("muon-function.pom"), place.resolve("muon-function-1.pom"));
        List<String> words = new ArrayList<>(List.of("mvn", "--batch-mode", "--no-transfer-progress", "--quiet", "-Dstyle.color=never",
                "-Dmaven.repo.local=" + repository.toAbsolutePath(), "-DskipTests"));
        if (Files.exists(SETTINGS)) {
            words.addAll(List.of("--settings", SETTINGS.toString()));
        }
        words.addAll(List.of("package", "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory=target/muon-lib"));
        Tool.run(project, words, Map.of("MAVEN_OPTS", (options() + Trust.options(work)).strip()));
        Path built = project.resolve("target");
        int own = 0;
        for (String jar : Trees.files(built, ".jar")) {
            boolean dependency = jar.startsWith("muon-lib/");
            if (!dependency && (jar.contains("/") || jar.startsWith("original-") || jar.matches(".*-(sources|javadoc|tests)\\.jar"))) {
                continue;
            }
            own += dependency ? 0 : 1;
            Trees.copyFile(built.resolve(jar), target.resolve("lib").resolve(Path.of(jar).getFileName()));
        }
        if (own == 0) {
            throw new BuildFailure("pom.xml made no jar in target/: its packaging must be jar");
        }
    }

    /** Java does not know the variables by which everything else learns of a proxy. */
    private static String options() throws BuildFailure {
        StringBuilder options = new StringBuilder(System.getenv().getOrDefault("MAVEN_OPTS", ""));
        for (String scheme : List.of("http", "https")) {
            String proxy = first(scheme + "_proxy", (scheme + "_proxy").toUpperCase());
            if (proxy == null) {
                continue;
            }
            try {
                URI at = URI.create(proxy);
                int port = at.getPort() < 0 ? 80 : at.getPort();
                options.append(" -D%s.proxyHost=%s -D%s.proxyPort=%d".formatted(scheme, at.getHost(), scheme, port));
            } catch (IllegalArgumentException invalid) {
                throw new BuildFailure(scheme + "_proxy is not a URL: " + invalid.getMessage());
            }
        }
        String none = first("no_proxy", "NO_PROXY");
        if (none != null) {
            options.append(" -Dhttp.nonProxyHosts=").append(none.replace(" ", "").replace(",", "|").replace("|.", "|*."));
        }
        return options.toString().strip();
    }

    private static String first(String... names) {
        for (String name : names) {
            String value = System.getenv(name);
            if (value != null && !value.isEmpty()) {
                return value;
            }
        }
        return null;
    }
}
