package main

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"muon.dev/contract"
)

// function is what has been loaded.
type function interface {
	http.Handler
	// end lets go of it, within the limit of the context.
	end(context.Context)
}

// loading holds the one function of this process, and how it came to be.
type loading struct {
	settings settings
	server   *http.Server
	stopping atomic.Bool

	one      sync.Mutex // held while a load runs: the same order again waits for it
	loaded   *contract.Order
	function atomic.Pointer[function]
}

// ServeHTTP says which request is ours and which the user's.
func (l *loading) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	loaded := l.function.Load()
	switch {
	case contract.IsHealth(r):
		contract.SendHealth(w)
	case contract.IsLoad(r):
		l.serveLoad(w, r)
	case loaded != nil:
		// Who begins to answer before the request is read whole shall be given the rest of it all the same.
		_ = http.NewResponseController(w).EnableFullDuplex()
		(*loaded).ServeHTTP(w, r)
	default:
		contract.SendError(w, r, "runtime", contract.NotLoaded(), "no")
	}
}

func (l *loading) serveLoad(w http.ResponseWriter, r *http.Request) {
	wanted, err := contract.ReadOrder(r, l.settings.V1File)
	if err != nil {
		contract.SendError(w, r, "runtime", err, "no")
		return
	}
	milliseconds, err := l.load(wanted)
	if err != nil {
		contract.SendError(w, r, "runtime", err, "no")
		return
	}
	contract.SendLoaded(w, milliseconds)
}

// load loads once. The same order again is fine.
func (l *loading) load(wanted contract.Order) (float64, error) {
	begun := time.Now()
	l.one.Lock()
	defer l.one.Unlock()
	if l.loaded != nil {
		if l.loaded.IsSame(wanted) {
			return 0, nil
		}
		return 0, l.loaded.AlreadyLoaded()
	}
	found, err := l.open(wanted)
	if err != nil {
		contract.Emit("ERROR", "runtime", "load failed", contract.Fields{"error": err.Error(), "filepath": wanted.Filepath})
		return 0, err
	}
	l.loaded = &wanted
	l.function.Store(&found)
	milliseconds := float64(time.Since(begun).Microseconds()) / 1000
	contract.Emit("INFO", "runtime", "loaded", contract.Fields{"filepath": wanted.Filepath, "milliseconds": milliseconds})
	return milliseconds, nil
}

func (l *loading) open(wanted contract.Order) (function, error) {
	found, err := locate(wanted)
	if err != nil {
		return nil, err
	}
	if found.serves {
		return l.startProgram(found)
	}
	return newScript(found, l.settings.concurrency)
}

func (l *loading) end(limit context.Context) {
	if loaded := l.function.Load(); loaded != nil {
		(*loaded).end(limit)
	}
}
