package dev.muon.build;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;

/** The authorities in the file that SSL_CERT_FILE names, by which other tools trust, in a form that Java reads. */
final class Trust {
    /** Nothing secret is in the store; its format asks for one. */
    private static final String PASSWORD = "public";

    private Trust() {}

    /** Options for a JVM that shall trust these authorities; none where no file is named. */
    static String options(Path work) throws BuildFailure {
        String file = System.getenv("SSL_CERT_FILE");
        if (file == null || !Files.isRegularFile(Path.of(file))) {
            return "";
        }
        Path store = work.resolve("trust.p12").toAbsolutePath();
        try (InputStream certificates = Files.newInputStream(Path.of(file)); OutputStream out = Files.newOutputStream(store)) {
            KeyStore trusted = KeyStore.getInstance("PKCS12");
            trusted.load(null, null);
            int count = 0;
            for (Certificate each : CertificateFactory.getInstance("X.509").generateCertificates(certificates)) {
                trusted.setCertificateEntry("authority-" + count++, each);
            }
            trusted.store(out, PASSWORD.toCharArray());
        } catch (IOException | GeneralSecurityException unusable) {
            throw new BuildFailure("SSL_CERT_FILE has no certificates of authorities: " + unusable.getMessage());
        }
        return " -Djavax.net.ssl.trustStore=" + store + " -Djavax.net.ssl.trustStoreType=PKCS12 -Djavax.net.ssl.trustStorePassword=" + PASSWORD;
    }
}
