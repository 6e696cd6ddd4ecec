//! Content-addressed package storage over HTTP.
