package dev.muon;

/** A function as a class: any method of the same shape is one too. */
@FunctionalInterface
public interface Handler {
    /** Returns a Response, text, bytes, an InputStream, or null for an empty answer. */
    Object handle(Request request) throws Exception;
}
