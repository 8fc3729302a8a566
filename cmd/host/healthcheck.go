package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"
)

// healthcheck is `host healthcheck`: it asks the host that listens on this machine whether it is ready, and fails when it is not. An image
// without a shell or curl has nothing else to ask with.
//
// The address is the one that the host listens on; "every interface" is asked through loopback. It takes at most four seconds, one less than
// the image gives it.
func healthcheck(ctx context.Context, host, port string) error {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	address := "http://" + net.JoinHostPort(host, port) + "/health/db"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return fmt.Errorf("healthcheck: %w", err)
	}
	// The default client would take HTTP_PROXY into account, which has no business between a host and itself.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("healthcheck: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("healthcheck: %s answered %d", address, resp.StatusCode)
	}
	return nil
}
