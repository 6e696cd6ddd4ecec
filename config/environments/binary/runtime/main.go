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
	"syscall"
	"time"

	"muon.dev/contract"
)

// settings is everything that is set from outside, by environment variables.
type settings struct {
	contract.Settings
	// concurrency is how many scripts run at once.
	concurrency int
}

func readSettings() settings {
	return settings{contract.ReadSettings(60), int(contract.Number("MUON_CONCURRENCY", 128))}
}

func main() {
	known := readSettings()
	listener, err := net.Listen("tcp", known.Address)
	if err != nil {
		contract.Emit("ERROR", "runtime", "cannot listen", contract.Fields{"error": err.Error()})
		os.Exit(1)
	}
	loading := &loading{settings: known}
	server := contract.NewServer(loading)
	loading.server = server
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	contract.Emit("INFO", "runtime", "listening", contract.Fields{"port": listener.Addr().(*net.TCPAddr).Port})
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			contract.Emit("ERROR", "runtime", "cannot accept", contract.Fields{"error": err.Error()})
			os.Exit(1)
		}
	}()
	<-signals
	stop(server, loading, known.Grace)
}

// stop ends the process once the requests in flight are answered, but not later than the grace period lasts.
func stop(server *http.Server, loading *loading, grace time.Duration) {
	loading.stopping.Store(true)
	contract.Emit("INFO", "runtime", "stopping", contract.Fields{"graceSeconds": grace.Seconds()})
	limit, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	if server.Shutdown(limit) != nil {
		contract.Emit("WARNING", "runtime", "the grace period is over; what still runs is cut off", nil)
	}
	loading.end(limit)
	contract.Emit("INFO", "runtime", "stopped", nil)
	os.Exit(0)
}
