package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"time"

	"muon.dev/contract"
)

// programName is the file that the builders of compiled languages leave at the top of a package.
const programName = "program"

// socketNumber is the descriptor under which a program finds the listening socket.
const socketNumber = 3

// launcher holds the one program of this pod, and how it came to be.
type launcher struct {
	settings contract.Settings
	socket   *os.File
	address  net.Addr
	listener net.Listener
	server   *http.Server

	loading sync.Mutex // held while a program starts: one load at a time

	state    sync.Mutex
	loaded   *contract.Order
	running  *os.Process
	stopping bool
}

func newLauncher(known contract.Settings, socket *os.File, address net.Addr) *launcher {
	l := &launcher{settings: known, socket: socket, address: address}
	l.server = contract.NewServer(l)
	return l
}

// stop says that the end has begun, and returns the program if there is one.
func (l *launcher) stop() *os.Process {
	l.state.Lock()
	defer l.state.Unlock()
	l.stopping = true
	emit("INFO", "stopping", contract.Fields{"graceSeconds": l.settings.Grace.Seconds()})
	return l.running
}

// load starts the program of a package and returns after how many milliseconds it served. The same order again is fine.
func (l *launcher) load(wanted contract.Order) (float64, error) {
	begun := time.Now()
	l.loading.Lock()
	defer l.loading.Unlock()
	if l.loaded != nil {
		if l.loaded.IsSame(wanted) {
			return 0, nil
		}
		return 0, l.loaded.AlreadyLoaded()
	}
	program, directory, err := locate(wanted)
	if err == nil {
		err = l.start(program, directory, wanted)
	}
	if err != nil {
		emit("ERROR", "load failed", contract.Fields{"error": err.Error(), "entrypoint": wanted.Entrypoint})
		return 0, err
	}
	l.loaded = &wanted
	l.server.SetKeepAlivesEnabled(false)
	milliseconds := float64(time.Since(begun).Microseconds()) / 1000
	emit("INFO", "loaded", contract.Fields{"entrypoint": wanted.Entrypoint, "pid": l.running.Pid, "milliseconds": milliseconds})
	return milliseconds, nil
}

// locate finds the executable that an order means, and the directory it runs in.
func locate(wanted contract.Order) (program, directory string, err error) {
	found, err := os.Stat(wanted.Filepath)
	if err != nil {
		return "", "", contract.Fail(http.StatusInternalServerError, "PackageNotFound", "there is nothing at "+wanted.Filepath)
	}
	if !found.IsDir() {
		return wanted.Filepath, filepath.Dir(wanted.Filepath), nil
	}
	program = filepath.Join(wanted.Filepath, programName)
	if !isExecutable(program) {
		// Not made by a builder: the entrypoint is the executable itself.
		if wanted.Entrypoint == "" || !filepath.IsLocal(wanted.Entrypoint) {
			return "", "", notFound(wanted)
		}
		program = filepath.Join(wanted.Filepath, wanted.Entrypoint)
		if !isExecutable(program) {
			return "", "", notFound(wanted)
		}
	}
	return program, wanted.Filepath, nil
}

func isExecutable(path string) bool {
	found, err := os.Stat(path)
	return err == nil && found.Mode().IsRegular() && found.Mode()&0o111 != 0
}

func notFound(wanted contract.Order) error {
	var names []string
	entries, _ := os.ReadDir(wanted.Filepath)
	for _, entry := range entries {
		if len(names) < 20 {
			names = append(names, entry.Name())
		}
	}
	sort.Strings(names)
	message := fmt.Sprintf("the package has no executable file %q, and none called %q; it has: %s (is it source code? "+
		"then its Package needs `build: {}`)", wanted.Entrypoint, programName, strings.Join(names, ", "))
	return contract.Fail(http.StatusInternalServerError, "EntrypointNotFound", message)
}

// start runs the program with the socket, and returns once it answers.
func (l *launcher) start(program, directory string, wanted contract.Order) error {
	command := exec.Command(program)
	command.Dir = directory
	command.Env = environment(wanted)
	command.ExtraFiles = []*os.File{l.socket}
	command.Stdout = os.Stdout
	words, writer, err := os.Pipe()
	if err != nil {
		return err
	}
	command.Stderr = writer
	l.stopAccepting()
	err = command.Start()
	_ = writer.Close()
	if err != nil {
		_ = words.Close()
		l.accept()
		return contract.Fail(http.StatusInternalServerError, "ImportFailed", fmt.Sprintf("the program cannot be started: %v", err))
	}
	said := new(lastWords)
	ended := make(chan struct{})
	copied := make(chan struct{})
	go func() {
		said.copy(words)
		close(copied)
	}()
	go func() {
		_ = command.Wait() // how it ended is in its ProcessState
		select {
		case <-copied:
		case <-time.After(time.Second): // a process of its own has kept the pipe
		}
		close(ended)
	}()
	if err := l.waitUntilItAnswers(ended); err != nil {
		_ = command.Process.Kill()
		<-ended
		l.accept()
		return l.whyItEnded(err, command, said)
	}
	l.keep(command, ended)
	return nil
}

func environment(wanted contract.Order) []string {
	env := os.Environ()
	for name, value := range wanted.Env {
		env = append(env, name+"="+value)
	}
	return append(env, fmt.Sprintf("MUON_LISTEN_FD=%d", socketNumber), "MUON_PACKAGE="+wanted.Filepath,
		"MUON_ENTRYPOINT="+wanted.Entrypoint)
}

var errEnded = errors.New("the program ended before it answered")

// waitUntilItAnswers sends one request, which waits in the socket's queue until the program takes it.
func (l *launcher) waitUntilItAnswers(ended <-chan struct{}) error {
	deadline, cancel := context.WithTimeout(context.Background(), l.settings.Patience)
	defer cancel()
	answered := make(chan error, 1)
	go func() { answered <- l.ask(deadline) }()
	for {
		select {
		case <-ended:
			return errEnded
		case err := <-answered:
			if err == nil || deadline.Err() != nil {
				return err
			}
			// A program that ends takes a connection with it: its end is the news then.
			select {
			case <-ended:
				return errEnded
			case <-time.After(10 * time.Millisecond):
				go func() { answered <- l.ask(deadline) }()
			}
		}
	}
}

func (l *launcher) ask(deadline context.Context) error {
	host, port, _ := net.SplitHostPort(l.address.String())
	if address := net.ParseIP(host); address == nil || address.IsUnspecified() {
		host = "localhost"
		if address.To4() != nil {
			host = "127.0.0.1"
		} else if address != nil {
			host = "::1"
		}
	}
	request, err := http.NewRequestWithContext(deadline, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/healthz", nil)
	if err != nil {
		return err
	}
	transport := &http.Transport{DisableKeepAlives: true}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	return answer.Body.Close()
}

// whyItEnded is what the author of a program that does not come up reads.
func (l *launcher) whyItEnded(err error, command *exec.Cmd, said *lastWords) error {
	if told := said.failure(); told != nil {
		return told
	}
	how := command.ProcessState.String()
	if !errors.Is(err, errEnded) {
		how = fmt.Sprintf("it did not answer GET /healthz on the socket it was given within %v", l.settings.Patience)
	}
	message := "the program did not come up (" + how + ")"
	if lines := said.tail(); lines != "" {
		message += ":\n" + lines
	}
	return contract.Fail(http.StatusInternalServerError, "ImportFailed", message)
}

// keep ends this process when the program ends: a new container begins anew.
func (l *launcher) keep(command *exec.Cmd, ended <-chan struct{}) {
	l.state.Lock()
	l.running = command.Process
	l.state.Unlock()
	go func() {
		<-ended
		l.state.Lock()
		defer l.state.Unlock()
		code := command.ProcessState.ExitCode()
		if l.stopping {
			emit("INFO", "stopped", nil)
		} else {
			emit("ERROR", "the program ended", contract.Fields{"how": command.ProcessState.String()})
			if code < 0 {
				code = 1
			}
		}
		os.Exit(max(code, 0))
	}()
}
