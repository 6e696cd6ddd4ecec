package contract

import (
	"net"
	"net/http"
	"os"
	"strconv"
	"time"
)

// Settings is what is set from outside in every runtime, by environment variables.
type Settings struct {
	// Address is where the runtime listens.
	Address string
	// V1File is where the first form of the contract has the code.
	V1File string
	// Grace is how long requests in flight may take once the end has begun.
	Grace time.Duration
	// Patience is how long a program may take to come up.
	Patience time.Duration
}

// ReadSettings reads them; patience is in seconds, where nothing is set.
func ReadSettings(patience float64) Settings {
	return Settings{
		Address:  net.JoinHostPort(os.Getenv("MUON_ADDRESS"), text("MUON_PORT", "8888")),
		V1File:   text("MUON_V1_FILE", "/userfunc/user"),
		Grace:    time.Duration(Number("MUON_GRACE_SECONDS", 25) * float64(time.Second)),
		Patience: time.Duration(Number("MUON_LOAD_SECONDS", patience) * float64(time.Second)),
	}
}

func text(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

// Number is the number that a variable sets; what is none, or is negative, sets nothing.
func Number(name string, otherwise float64) float64 {
	value, err := strconv.ParseFloat(os.Getenv(name), 64)
	if err != nil || value < 0 {
		return otherwise
	}
	return value
}

// NewServer is a server as every runtime has it: idle connections are closed by proxies and the agent, which know when
// they do not need them any more.
func NewServer(handler http.Handler) *http.Server {
	return &http.Server{Handler: handler, IdleTimeout: time.Hour, MaxHeaderBytes: 64 << 10, ErrorLog: Quiet()}
}
