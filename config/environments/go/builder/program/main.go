// Package main is what the builder adds to a function: the server that calls it. It lies inside the user's module while
// that is built, whose go.mod may name an old Go: so there is nothing here that is newer than the language of Go 1.16.
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	logInstall()
	limitMemory()
	entrypoint := os.Getenv("MUON_ENTRYPOINT")
	handler, reason, err := find(entrypoint)
	if err != nil {
		giveUp(reason, err.Error())
	}
	listener, err := inherited()
	if err != nil {
		giveUp("NoSocket", err.Error())
	}
	server := &http.Server{
		Handler: &front{handler: handler, filepath: os.Getenv("MUON_PACKAGE"), entrypoint: entrypoint},
		// No time of ours for idle connections: proxies close what they do not need, and a deadline costs a timer a request.
		MaxHeaderBytes: 64 << 10,
		ErrorLog:       serverLog(),
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	done := make(chan struct{})
	go stopOn(signals, server, done)
	if err := server.Serve(listener); err != http.ErrServerClosed {
		giveUp("NoSocket", err.Error())
	}
	<-done
}

// inherited is the listening socket that the launcher has handed over.
func inherited() (net.Listener, error) {
	number, err := strconv.Atoi(os.Getenv("MUON_LISTEN_FD"))
	if err != nil {
		return nil, fmt.Errorf("MUON_LISTEN_FD must name the listening socket: %v", err)
	}
	socket := os.NewFile(uintptr(number), "listener")
	defer socket.Close()
	return net.FileListener(socket)
}

// stopOn a signal finishes the requests in flight, but not longer than the grace period lasts.
func stopOn(signals <-chan os.Signal, server *http.Server, done chan<- struct{}) {
	<-signals
	grace := 25.0
	if given, err := strconv.ParseFloat(os.Getenv("MUON_GRACE_SECONDS"), 64); err == nil && given >= 0 {
		grace = given
	}
	deadline, cancel := context.WithTimeout(context.Background(), time.Duration(grace*float64(time.Second)))
	defer cancel()
	if err := server.Shutdown(deadline); err != nil {
		emit("WARNING", "the grace period is over; what still runs is cut off", nil)
		_ = server.Close()
	}
	close(done)
}

// limitMemory lets the garbage collector know of the container's limit, unless GOMEMLIMIT says something.
func limitMemory() {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	text, err := os.ReadFile("/sys/fs/cgroup/memory.max")
	if err != nil {
		return
	}
	if limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil {
		debug.SetMemoryLimit(limit / 10 * 9)
	}
}
