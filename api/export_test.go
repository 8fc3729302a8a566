package api

import (
	"context"
	"log/slog"
	"net/http"
)

// WriteError answers with an error.
func WriteError(w http.ResponseWriter, r *http.Request, err error) {
	a := &API{opts: Options{
		Logger: slog.New(slog.DiscardHandler), RequestID: func(context.Context) string { return "" },
	}}
	a.writeError(w, r, err)
}
