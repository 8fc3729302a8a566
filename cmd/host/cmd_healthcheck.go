package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/booking-platform/booking-platform/cmd/host/internal/config"
)

// healthcheck asks the host on this machine whether it is ready, for images that have no
// curl.
func healthcheck(ctx context.Context, environ map[string]string, stdout io.Writer) error {
	host, port, err := config.Address(environ)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
	url := "http://" + net.JoinHostPort(reachable(host), fmt.Sprint(port)) + "/health/db"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("healthcheck: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("healthcheck: %s answers %s", url, answer.Status)
	}
	fmt.Fprintln(stdout, "ready")
	return nil
}

// reachable is an address on which this machine reaches what listens on host.
func reachable(host string) string {
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		return "127.0.0.1"
	}
	return host
}
