package auth

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
)

// writeError is what Options.WriteError is by default.
func writeError(w http.ResponseWriter, _ *http.Request, status int, code string, fields map[string]string) {
	writeJSON(w, status, struct {
		Error  string            `json:"error"`
		Fields map[string]string `json:"fields,omitempty"`
	}{code, fields})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// The client may have gone; nobody is left to be told.
	_ = json.NewEncoder(w).Encode(body)
}

// unavailable is the answer where the database could not be asked: neither a 401, which
// would send the user to log in again, nor a pass.
func (a *Auth) unavailable(w http.ResponseWriter, r *http.Request, msg string, err error) {
	a.logError(r.Context(), msg, err)
	w.Header().Set("Retry-After", "1")
	if errors.Is(err, ErrBusy) {
		w.Header().Set("Retry-After", "5")
	}
	a.writeError(w, r, http.StatusServiceUnavailable, "unavailable", nil)
}

func (a *Auth) logError(ctx context.Context, msg string, err error) {
	level := slog.LevelError
	if ctx.Err() != nil {
		// The client hung up and took the query with it: nothing is wrong with the
		// database.
		level = slog.LevelInfo
	}
	a.logger.LogAttrs(ctx, level, msg, slog.Any("error", err), slog.String("sqlstate", sqlState(err)))
}
