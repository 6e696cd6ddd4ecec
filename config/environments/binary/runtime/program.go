package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"muon.dev/contract"
)

// farewell bounds how long those who asked a program that has ended are waited for.
const farewell = 2 * time.Second

// program is an executable that serves HTTP by itself, on the port or on the socket that it was given.
type program struct {
	command *exec.Cmd
	ended   chan struct{}
	stdout  *lines
	stderr  *lines
	proxy   *httputil.ReverseProxy
	socket  string
	port    int
}

// startProgram returns once the program takes connections.
func (l *loading) startProgram(found executable) (function, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	p := &program{
		port:   port,
		socket: filepath.Join(os.TempDir(), fmt.Sprintf("function-%d.sock", os.Getpid())),
		stdout: &lines{level: "INFO"},
		stderr: &lines{level: "ERROR"},
		ended:  make(chan struct{}),
	}
	_ = os.Remove(p.socket)
	p.command = exec.Command(found.argv[0], found.argv[1:]...)
	p.command.Dir = found.directory
	p.command.Env = append(found.env, "PORT="+strconv.Itoa(port), "ADDRESS=127.0.0.1:"+strconv.Itoa(port), "SOCKET="+p.socket)
	p.command.Stdout, p.command.Stderr = p.stdout, p.stderr
	p.command.WaitDelay = time.Second // its children may keep the pipes
	p.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := p.command.Start(); err != nil {
		return nil, contract.Fail(http.StatusInternalServerError, "ImportFailed", fmt.Sprintf("%s cannot be started: %v", found.name, err))
	}
	go func() {
		_ = p.command.Wait()
		p.stdout.flush()
		p.stderr.flush()
		close(p.ended)
	}()
	network, address, err := p.await(l.settings.Patience)
	if err != nil {
		p.kill()
		return nil, err
	}
	p.proxy = passOn(network, address)
	go func() {
		<-p.ended
		if !l.stopping.Load() {
			// A runtime that cannot serve: kubelet starts it anew, and the agent loads again.
			contract.Emit("ERROR", "runtime", "the program has ended", contract.Fields{"error": p.command.ProcessState.String()})
			// Whoever asked it something is told first.
			limit, cancel := context.WithTimeout(context.Background(), farewell)
			_ = l.server.Shutdown(limit)
			cancel()
			os.Exit(1)
		}
	}()
	return p, nil
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// await waits until the program listens, by whichever way it prefers.
func (p *program) await(patience time.Duration) (network, address string, err error) {
	deadline := time.Now().Add(patience)
	pause := time.Millisecond
	for {
		for _, way := range [][2]string{{"tcp", "127.0.0.1:" + strconv.Itoa(p.port)}, {"unix", p.socket}} {
			if connection, err := net.Dial(way[0], way[1]); err == nil {
				_ = connection.Close()
				return way[0], way[1], nil
			}
		}
		select {
		case <-p.ended:
			message := fmt.Sprintf("the program ended before it listened: %s\n%s", p.command.ProcessState, p.stderr.tail())
			return "", "", contract.Fail(http.StatusInternalServerError, "ImportFailed", message)
		case <-time.After(pause):
			pause = min(2*pause, 50*time.Millisecond)
		}
		if time.Now().After(deadline) {
			message := fmt.Sprintf("after %s the program listens neither on port $PORT nor on $SOCKET\n%s", patience, p.stderr.tail())
			return "", "", contract.Fail(http.StatusInternalServerError, "ImportFailed", message)
		}
	}
}

// passOn is the way to the program: what it is sent and what it answers is not touched, and upgrades go through.
func passOn(network, address string) *httputil.ReverseProxy {
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, address)
		},
		MaxIdleConns:        256,
		MaxIdleConnsPerHost: 256,
		IdleConnTimeout:     30 * time.Second,
		DisableCompression:  true,
	}
	return &httputil.ReverseProxy{
		Transport:     transport,
		FlushInterval: -1,
		ErrorLog:      contract.Quiet(),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: "function"})
			r.Out.Host = r.In.Host
			for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
				if values := r.In.Header.Values(name); len(values) > 0 {
					r.Out.Header[name] = values
				}
			}
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if errors.Is(err, context.Canceled) {
				panic(http.ErrAbortHandler) // the caller has left
			}
			id := r.Header.Get("X-Request-Id")
			contract.Emit("ERROR", "function", "the program did not answer", contract.Fields{"requestId": id, "error": err.Error()})
			contract.SendError(w, r, "function", contract.Fail(http.StatusBadGateway, "NoAnswer", "the program did not answer: "+err.Error()), "unknown")
		},
	}
}

func (p *program) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.proxy.ServeHTTP(w, r) }

func (p *program) end(limit context.Context) {
	_ = syscall.Kill(-p.command.Process.Pid, syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-limit.Done():
	}
	p.kill()
}

func (p *program) kill() {
	_ = syscall.Kill(-p.command.Process.Pid, syscall.SIGKILL)
	<-p.ended
	_ = os.Remove(p.socket)
}
