// Command muon-binary is the runtime of functions that are executables of any kind. A program that serves HTTP is
// started once, and requests are passed on to the port or socket that it was given; a script is run once for each
// request, with the request in its environment and on stdin, as CGI has it.
package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// settings is everything that is set from outside, by environment variables.
type settings struct {
	address     string
	v1File      string
	grace       time.Duration
	patience    time.Duration
	concurrency int
}

func readSettings() settings {
	return settings{
		address:     net.JoinHostPort(os.Getenv("MUON_ADDRESS"), text("MUON_PORT", "8888")),
		v1File:      text("MUON_V1_FILE", "/userfunc/user"),
		grace:       time.Duration(number("MUON_GRACE_SECONDS", 25) * float64(time.Second)),
		patience:    time.Duration(number("MUON_LOAD_SECONDS", 60) * float64(time.Second)),
		concurrency: int(number("MUON_CONCURRENCY", 128)),
	}
}

func text(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func number(name string, otherwise float64) float64 {
	value, err := strconv.ParseFloat(os.Getenv(name), 64)
	if err != nil || value < 0 {
		return otherwise
	}
	return value
}

func main() {
	known := readSettings()
	listener, err := net.Listen("tcp", known.address)
	if err != nil {
		emit("ERROR", "runtime", "cannot listen", fields{"error": err.Error()})
		os.Exit(1)
	}
	loading := &loading{settings: known}
	// Idle connections are closed by proxies and the agent, which know when they do not need them any more.
	server := &http.Server{Handler: loading, IdleTimeout: time.Hour, MaxHeaderBytes: 64 << 10, ErrorLog: quiet()}
	loading.server = server
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	emit("INFO", "runtime", "listening", fields{"port": listener.Addr().(*net.TCPAddr).Port})
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			emit("ERROR", "runtime", "cannot accept", fields{"error": err.Error()})
			os.Exit(1)
		}
	}()
	<-signals
	stop(server, loading, known.grace)
}

// stop ends the process once the requests in flight are answered, but not later than the grace period lasts.
func stop(server *http.Server, loading *loading, grace time.Duration) {
	loading.stopping.Store(true)
	emit("INFO", "runtime", "stopping", fields{"graceSeconds": grace.Seconds()})
	limit, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	if server.Shutdown(limit) != nil {
		emit("WARNING", "runtime", "the grace period is over; what still runs is cut off", nil)
	}
	loading.end(limit)
	emit("INFO", "runtime", "stopped", nil)
	os.Exit(0)
}
