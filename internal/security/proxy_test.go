//go:build linux

package security

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// serveTLS serves with the certificate of the authority, and returns the address.
func (a authority) serveTLS(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{a.pair}}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// newProxy returns a proxy that terminates TLS, sends each request to the next host,
// appends the client's address to X-Forwarded-For, and keeps the Host header and the
// client's forwarding headers.
func newProxy(t *testing.T, a authority, hosts []*host) string {
	t.Helper()
	var targets []*url.URL
	for _, h := range hosts {
		u, err := url.Parse(h.base)
		require.NoError(t, err)
		targets = append(targets, u)
	}
	var turn atomic.Uint64
	return a.serveTLS(t, &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(targets[turn.Add(1)%uint64(len(targets))])
		r.Out.Host = r.In.Host
		r.Out.Header["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"]
		r.SetXForwarded()
		if forged := r.In.Header.Get("X-Forwarded-Host"); forged != "" {
			r.Out.Header.Set("X-Forwarded-Host", forged)
		}
	}})
}

// newStripe returns the URL of a forward proxy that leads to a Stripe stand-in under
// Stripe's name, over TLS, as a host in production would reach it. It sends no events.
func newStripe(t *testing.T, a authority) (*stripetest.Server, string) {
	t.Helper()
	stripe, err := stripetest.New(stripetest.Options{SecretKey: stripeKey,
		PublicURL: "https://checkout.stripe.example"})
	require.NoError(t, err)
	api := a.serveTLS(t, stripe)
	way := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect || r.Host != "api.stripe.com:443" {
			http.Error(w, "this leads to Stripe alone", http.StatusForbidden)
			return
		}
		server, err := net.Dial("tcp", api)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer server.Close()
		client, buffered, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer client.Close()
		_, _ = client.Write([]byte("HTTP/1.1 200 OK\r\n\r\n"))
		go func() { _, _ = io.Copy(server, buffered); _ = server.Close() }()
		_, _ = io.Copy(client, server)
	}))
	t.Cleanup(way.Close)
	return stripe, way.URL
}
