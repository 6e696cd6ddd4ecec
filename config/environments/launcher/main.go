// Command muon-launcher is the runtime of functions that are programs. It speaks the contract of runtimes until it is
// told what to load; then it starts the package's program and gives it the listening socket. From there on requests
// reach the program without a hop: the launcher only waits for its end.
package main

import (
	"errors"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"muon.dev/contract"
)

func main() {
	known := contract.ReadSettings(120)
	socket, address, err := listen(known.Address)
	if err != nil {
		emit("ERROR", "cannot listen", contract.Fields{"error": err.Error()})
		os.Exit(1)
	}
	launcher := newLauncher(known, socket, address)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go launcher.stopOn(signals)
	emit("INFO", "listening", contract.Fields{"port": address.(*net.TCPAddr).Port})
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
		emit("ERROR", "cannot accept", contract.Fields{"error": err.Error()})
		os.Exit(1)
	}
	l.listener = listener
	go func() {
		if err := l.server.Serve(listener); err != nil && !errors.Is(err, net.ErrClosed) {
			emit("ERROR", "cannot accept", contract.Fields{"error": err.Error()})
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
	time.AfterFunc(l.settings.Grace+2*time.Second, func() {
		emit("WARNING", "the grace period is over; the program is cut off", nil)
		_ = program.Kill()
	})
}
