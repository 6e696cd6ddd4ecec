package main

import (
	"net/http"

	"muon.dev/contract"
)

// ServeHTTP answers while no program does: health, loads, and that nothing is loaded yet.
func (l *launcher) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case contract.IsHealth(r):
		contract.SendHealth(w)
	case contract.IsLoad(r):
		milliseconds, err := l.serveLoad(r)
		if err != nil {
			contract.SendError(w, r, "runtime", err, "no")
			return
		}
		// The program has the socket now: who wants something of this pod shall connect anew, and reach the program.
		w.Header().Set("Connection", "close")
		contract.SendLoaded(w, milliseconds)
	default:
		w.Header().Set("Connection", "close")
		contract.SendError(w, r, "runtime", contract.NotLoaded(), "no")
	}
}

func (l *launcher) serveLoad(r *http.Request) (float64, error) {
	wanted, err := contract.ReadOrder(r, l.settings.V1File)
	if err != nil {
		return 0, err
	}
	return l.load(wanted)
}
