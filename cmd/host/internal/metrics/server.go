package metrics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Server answers scrapes at an address of its own, so that no proxy in front of the host
// can lead there.
type Server struct {
	listener net.Listener
	http     *http.Server
	served   chan error
}

// Listen takes the address, such as 127.0.0.1:9464; port 0 lets the system choose.
// Nothing is answered before [Server.Serve].
func Listen(address string) (*Server, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	return &Server{listener: listener}, nil
}

// URL is where the series are.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() + "/metrics" }

// Serve begins to answer GET /metrics, and anything else with 404.
func (s *Server) Serve(m *Metrics) {
	routes := http.NewServeMux()
	routes.Handle("GET /metrics", m.Handler())
	s.http = &http.Server{
		Handler:           routes,
		ReadHeaderTimeout: 2 * time.Second,
		ReadTimeout:       5 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    8 << 10,
		ErrorLog:          slog.NewLogLogger(m.logger.Handler(), slog.LevelWarn),
	}
	s.served = make(chan error, 1)
	go func() { s.served <- s.http.Serve(s.listener) }()
}

// Close ends it: scrapes that run are finished, for three seconds at most.
func (s *Server) Close() error {
	if s.http == nil {
		return s.listener.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), readLimit+time.Second)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("metrics: scrapes were cut off: %w", err), s.http.Close())
	}
	if ended := <-s.served; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, fmt.Errorf("metrics: %w", ended))
	}
	return err
}
