package contract

import (
	"encoding/json"
	"errors"
	"net/http"
)

// Failure is an error of the contract: who is at fault is told by its status and reason.
type Failure struct {
	Status  int    `json:"-"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

// Fail is such an error.
func Fail(status int, reason, message string) *Failure {
	return &Failure{Status: status, Reason: reason, Message: message}
}

func (f *Failure) Error() string { return f.Reason + ": " + f.Message }

// SendError says whose an error is, and whether user code ran.
func SendError(w http.ResponseWriter, r *http.Request, component string, err error, executed string) {
	told := Fail(http.StatusInternalServerError, "LoadFailed", err.Error())
	_ = errors.As(err, &told)
	var id any
	if given := r.Header.Get("X-Request-Id"); given != "" {
		id = given
	}
	sendJSON(w, told.Status, Fields{
		"component": component, "reason": told.Reason, "message": told.Message, "requestId": id, "executed": executed,
	})
}

// SendLoaded is the answer to an order that was carried out.
func SendLoaded(w http.ResponseWriter, milliseconds float64) {
	sendJSON(w, http.StatusOK, Fields{"loaded": true, "milliseconds": milliseconds})
}

// NotLoaded is the answer to requests before a load.
func NotLoaded() *Failure {
	return Fail(http.StatusServiceUnavailable, "NotLoaded", "no function is loaded in this pod yet")
}

func sendJSON(w http.ResponseWriter, status int, value Fields) {
	body, err := json.Marshal(value)
	if err != nil {
		body = []byte("{}")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
