package middleware

import (
	"encoding/json"
	"net/http"
)

// problem is every error that the host's JSON routes answer with.
type problem struct {
	Error     string            `json:"error"`
	RequestID string            `json:"requestId"`
	Fields    map[string]string `json:"fields,omitempty"`
	Message   string            `json:"message,omitempty"`
}

// WriteError answers with the JSON of an error: its code, the request's id, and what is
// wrong with which field of the request.
func WriteError(w http.ResponseWriter, r *http.Request, status int, code string, fields map[string]string) {
	writeProblem(w, status, problem{Error: code, RequestID: RequestID(r.Context()), Fields: fields})
}

// WriteMessage is WriteError with a sentence that a client can show to its customer.
func WriteMessage(w http.ResponseWriter, r *http.Request, status int, code, message string) {
	writeProblem(w, status, problem{Error: code, RequestID: RequestID(r.Context()), Message: message})
}

func writeProblem(w http.ResponseWriter, status int, p problem) {
	// Strings and a map of strings always encode; a client that has gone is no news.
	body, _ := json.Marshal(p)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}
