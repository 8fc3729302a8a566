//go:build linux

package security

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// client is a browser with an address of its own. It follows no redirects, and keeps its
// cookies itself, to send them to each host.
type client struct {
	*cluster
	t       *testing.T
	http    *http.Client
	from    string
	base    string
	cookies map[string]string
}

func (c *cluster) address() string {
	n := c.serial.Add(1)
	return fmt.Sprintf("127.%d.%d.%d", 20+n/62500, n/250%250, n%250+2)
}

// stranger has an unused address and no cookies.
func (c *cluster) stranger(t *testing.T) *client { return c.strangerAt(t, c.address()) }

func (c *cluster) strangerAt(t *testing.T, from string) *client {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: c.authority.pool},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if strings.HasPrefix(address, "booking.example.com:") {
				address = c.proxy
			}
			return dialer.DialContext(ctx, network, address)
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &client{cluster: c, t: t, from: from, base: public, cookies: map[string]string{}, http: &http.Client{
		Transport: transport, Timeout: time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// at is the same browser, at one host without the proxy.
func (c *client) at(h *host) *client {
	direct := *c
	direct.base = h.base
	return &direct
}

type answer struct {
	status  int
	header  http.Header
	cookies []*http.Cookie
	body    string
}

// brief is for failure messages.
func (a answer) brief() string { return a.body[:min(len(a.body), 300)] }

// into decodes the body.
func (a answer) into(t *testing.T, v any) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(a.body), v), a.body)
}

// The header "Host" sets the requested name.
func (c *client) do(method, path, contentType, body string, header ...string) answer {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.base+path, strings.NewReader(body))
	require.NoError(c.t, err)
	for name, value := range c.cookies {
		req.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Add(header[i], header[i+1])
	}
	res, err := c.http.Do(req)
	require.NoError(c.t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(c.t, err)
	a := answer{res.StatusCode, res.Header, res.Cookies(), string(text)}
	for _, cookie := range a.cookies {
		if c.cookies[cookie.Name] = cookie.Value; cookie.MaxAge < 0 {
			delete(c.cookies, cookie.Name)
			continue
		}
		c.know("the value of "+cookie.Name, cookie.Value)
	}
	c.note(method+" "+path, a)
	return a
}

func (c *client) get(path string, header ...string) answer {
	c.t.Helper()
	return c.do(http.MethodGet, path, "", "", header...)
}

// m is a JSON object.
type m map[string]any

func (c *client) post(path string, body m, header ...string) answer {
	c.t.Helper()
	var raw bytes.Buffer
	encoder := json.NewEncoder(&raw)
	encoder.SetEscapeHTML(false)
	require.NoError(c.t, encoder.Encode(body))
	return c.do(http.MethodPost, path, "application/json", raw.String(), header...)
}

func (c *client) form(path string, fields m, header ...string) answer {
	c.t.Helper()
	values := url.Values{}
	for name, value := range fields {
		values.Set(name, fmt.Sprint(value))
	}
	return c.do(http.MethodPost, path, "application/x-www-form-urlencoded", values.Encode(), header...)
}

// notes records answers, and the secrets that must not be elsewhere.
type notes struct {
	mu      sync.Mutex
	secrets map[string]string
	said    []said
}

type said struct {
	request string
	answer
}

func (n *notes) know(what string, secrets ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.secrets == nil {
		n.secrets = map[string]string{}
	}
	for _, s := range secrets {
		n.secrets[s] = what
	}
}

func (n *notes) note(request string, a answer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.said = append(n.said, said{request, a})
}
