//go:build linux

package security

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/booking-platform/booking-platform/payments/stripetest"
	"github.com/stretchr/testify/require"
)

func (a authority) serveTLS(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{a.pair}}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// newProxy terminates TLS, takes the hosts in turn, appends the client's address to
// X-Forwarded-For, and keeps the Host header and the client's forwarding headers.
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

// newStripe returns the URL of a forward proxy to a Stripe stand-in under Stripe's name,
// over TLS, as a host in production reaches it. It sends no events.
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

// authority is a self-signed certificate for this test's names, and its servers'
// certificate.
type authority struct {
	pair tls.Certificate
	pool *x509.CertPool
	// file is for processes that must trust it.
	file string
}

func newAuthority(t *testing.T, names ...string) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	a := authority{
		pair: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf},
		pool: x509.NewCertPool(), file: filepath.Join(t.TempDir(), "authority.pem"),
	}
	a.pool.AddCert(leaf)
	require.NoError(t, os.WriteFile(a.file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return a
}

func (c *cluster) loggedFor(t *testing.T, requestID string) string {
	t.Helper()
	for _, h := range c.hosts {
		for line := range strings.Lines(h.log.String()) {
			var entry struct {
				Msg       string `json:"msg"`
				ClientIP  string `json:"client_ip"`
				RequestID string `json:"request_id"`
			}
			if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "request" && entry.RequestID == requestID {
				return entry.ClientIP
			}
		}
	}
	return ""
}

func forwardedFor(t *testing.T, c *cluster) {
	seen := func(who *client, forwarded ...string) string {
		id := fmt.Sprintf("forwarded-%04d", c.serial.Add(1))
		header := []string{"X-Request-Id", id, "Forwarded", "for=203.0.113.9", "X-Real-Ip", "203.0.113.9",
			"True-Client-Ip", "203.0.113.9", "Cf-Connecting-Ip", "203.0.113.9"}
		for _, f := range forwarded {
			header = append(header, "X-Forwarded-For", f)
		}
		require.Equal(t, http.StatusOK, who.get("/api/resources", header...).status)
		var address string
		// The line is written after the answer.
		eventually(t, "the request is in a log", func() bool { address = c.loggedFor(t, id); return address != "" })
		return address
	}
	visitor := c.stranger(t)
	proxy := c.strangerAt(t, "127.0.0.1")
	for _, lie := range [][]string{nil, {"203.0.113.5"}, {"203.0.113.5, 127.0.0.1"}, {"203.0.113.5", "198.51.100.7"},
		{"127.0.0.1"}, {"garbage"}, {"203.0.113.5,,"}} {
		require.Equal(t, visitor.from, seen(visitor, lie...), "through the proxy, with %q", lie)
		for _, h := range c.hosts {
			require.Equal(t, visitor.from, seen(visitor.at(h), lie...), "past the proxy, with %q", lie)
		}
	}
	require.Equal(t, "203.0.113.5", seen(proxy.at(c.hosts[0]), "203.0.113.5"), "the proxy is believed")
	require.Equal(t, "198.51.100.7", seen(proxy.at(c.hosts[1]), "203.0.113.5, 198.51.100.7"),
		"the last that it was told")
	require.Equal(t, "127.0.0.1", seen(proxy.at(c.hosts[2]), "garbage"))

	// It bypasses no limit either, with or without the proxy.
	resource := c.addResource(t)
	starts := visitor.slots(resource)
	for i, base := range []string{public, c.hosts[1].base} {
		liar := c.stranger(t)
		liar.base = base
		var held int
		for n := range perAddress + 3 {
			a := liar.post("/api/bookings", bookingRequest(resource, starts[i*(perAddress+3)+n],
				fmt.Sprintf("liar%d%d@example.com", i, n)), "X-Forwarded-For", fmt.Sprintf("203.0.113.%d", n))
			if a.status == http.StatusCreated {
				held++
				continue
			}
			require.Equal(t, http.StatusTooManyRequests, a.status, a.brief())
		}
		require.Equal(t, perAddress, held)
	}
}
