package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/booking-platform/booking-platform/cmd/host/internal/config"
)

// healthcheckCommand is for images without curl.
func (c *cli) healthcheckCommand() *cobra.Command {
	return c.jsonFlag(&cobra.Command{
		Use:   "healthcheck",
		Short: "Check whether the host on this machine is ready",
		Long: `Request /health/db from the host on this machine, at BIND_ADDRESS and PORT.

Exit status: 0 when it is ready, 1 when it is not or does not answer.`,
		Example: "  host healthcheck\n  PORT=8080 host healthcheck",
		Args:    noArguments,
		RunE:    c.action(c.healthcheck),
	})
}

func (c *cli) healthcheck(ctx context.Context, _ []string) error {
	host, port, err := config.Address(c.environ)
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
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("healthcheck: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("healthcheck: %s answers %s", url, resp.Status)
	}
	return c.printer().Line("ready", map[string]string{"status": "ready"})
}

// reachable returns an address at which this machine reaches a listener on host.
func reachable(host string) string {
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		return "127.0.0.1"
	}
	return host
}
