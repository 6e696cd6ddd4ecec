// Command muon-launcher is the runtime of functions that are programs. It speaks the contract of runtimes until it is
// told what to load; then it starts the package's program and gives it the listening socket. From there on requests
// reach the program without a hop: the launcher only waits for its end.
package main

import (
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
	address  string
	v1File   string
	grace    time.Duration
	patience time.Duration
}

func readSettings() settings {
	return settings{
		address:  net.JoinHostPort(os.Getenv("MUON_ADDRESS"), text("MUON_PORT", "8888")),
		v1File:   text("MUON_V1_FILE", "/userfunc/user"),
		grace:    seconds("MUON_GRACE_SECONDS", 25),
		patience: seconds("MUON_LOAD_SECONDS", 120),
	}
}

func text(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func seconds(name string, otherwise float64) time.Duration {
	value, err := strconv.ParseFloat(os.Getenv(name), 64)
	if err != nil || value < 0 {
		value = otherwise
	}
	return time.Duration(value * float64(time.Second))
}

func main() {
	known := readSettings()
	socket, address, err := listen(known.address)
	if err != nil {
		emit("ERROR", "cannot listen", fields{"error": err.Error()})
		os.Exit(1)
	}
	launcher := newLauncher(known, socket, address)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go launcher.stopOn(signals)
	emit("INFO", "listening", fields{"port": address.(*net.TCPAddr).Port})
	launcher.accept()
	select {} // what ends this process is its program's end, or a signal
}

// listen opens the one socket that this pod is reached by. It is kept as a file: what accepts on it comes and goes.
func listen(address string) (*os.File, net.Addr, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, nil, err
	}
	defer listener.Close()
	socket, err := listener.(*net.TCPListener).File()
	return socket, listener.Addr(), err
}

// accept lets the launcher itself answer, until stopAccepting.
func (l *launcher) accept() {
	listener, err := net.FileListener(l.socket)
	if err != nil {
		emit("ERROR", "cannot accept", fields{"error": err.Error()})
		os.Exit(1)
	}
	l.listener = listener
	go func() {
		if err := l.server.Serve(listener); err != nil && !errors.Is(err, net.ErrClosed) {
			emit("ERROR", "cannot accept", fields{"error": err.Error()})
			os.Exit(1)
		}
	}()
}

// stopAccepting leaves new connections to wait in the socket's queue; those that are open go on.
func (l *launcher) stopAccepting() {
	_ = l.listener.Close()
}

func (l *launcher) stopOn(signals <-chan os.Signal) {
	<-signals
	program := l.stop()
	if program == nil {
		emit("INFO", "stopped", nil)
		os.Exit(0)
	}
	// The program finishes its requests within the grace period; a moment more, and it is cut.
	_ = program.Signal(syscall.SIGTERM)
	time.AfterFunc(l.settings.grace+2*time.Second, func() {
		emit("WARNING", "the grace period is over; the program is cut off", nil)
		_ = program.Kill()
	})
}

func newServer(handler http.Handler) *http.Server {
	// Idle connections are closed by proxies and the agent, which know when they do not need them any more.
	return &http.Server{Handler: handler, IdleTimeout: time.Hour, MaxHeaderBytes: 64 << 10, ErrorLog: quiet()}
}
