package middleware

import (
	"log/slog"
	"net/http"
	"time"
)

// NewServer makes the HTTP server with its limits: a client that sends or reads slowly
// does not keep a connection for ever. A head has 5 seconds, a body what its route gives
// it, and 15 seconds where that is not known. An answer may take 30 seconds: the time
// limit of a request, a read from the database that was begun just before it, and the
// last bytes. The server is to serve what connections.Listener returns.
func NewServer(h http.Handler, connections *Connections, logger *slog.Logger) *http.Server {
	return &http.Server{
		ConnState:         connections.changed,
		ConnContext:       connections.remember,
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
}
