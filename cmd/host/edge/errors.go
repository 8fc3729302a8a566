package edge

import (
	"encoding/json"
	"net/http"
)

// problem is every error that the host's JSON routes answer with.
type problem struct {
	Error     string            `json:"error"`
	RequestID string            `json:"requestId"`
	Fields    map[string]string `json:"fields,omitempty"`
}

// WriteError answers with the JSON of an error: its code, the request's id, and what is wrong with which field of the request.
func WriteError(w http.ResponseWriter, r *http.Request, status int, code string, fields map[string]string) {
	// Strings and a map of strings always encode; a client that has gone is no news.
	body, _ := json.Marshal(problem{Error: code, RequestID: RequestID(r.Context()), Fields: fields})
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}
