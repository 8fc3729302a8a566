package main_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	host "github.com/booking-platform/booking-platform/cmd/host"
	"github.com/booking-platform/booking-platform/internal/openapi"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

func TestMain(m *testing.M) {
	testdb.Parallel()
	testdb.Main(m)
}

const (
	adminEmail    = "admin@example.com"
	adminPassword = "correct horse battery"
)

// running is a host in this process.
type running struct {
	*host.Host
	t    *testing.T
	db   *sql.DB
	log  *logBook
	stop func() error
	// failing is set by a test that expects an error of serve.
	failing bool
}

// environ overrides the host's environment.
func startHost(t *testing.T, environ map[string]string) *running {
	t.Helper()
	url := environ["DATABASE_URL"]
	if url == "" {
		url = testdb.URL(t)
	}
	env := map[string]string{
		"PORT": "0", "DATABASE_URL": url, "DATA_DIR": t.TempDir(), "ADMIN_EMAIL": adminEmail,
		"ADMIN_PASSWORD": adminPassword,
		"METRICS_ADDR":   "off",
	}
	for name, value := range environ {
		env[name] = value
	}
	log := &logBook{}
	h, err := host.Start(t.Context(), env, log)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- h.Serve(ctx) }()
	r := &running{Host: h, t: t, log: log}
	r.stop = sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-served:
			return err
		case <-time.After(time.Minute):
			return context.DeadlineExceeded
		}
	})
	t.Cleanup(func() {
		if err := r.stop(); err != nil && !r.failing {
			t.Errorf("the host ended with: %v", err)
		}
		if t.Failed() {
			t.Log(log.String())
		}
	})
	r.db = testdb.Open(t, testdb.PQ, url)
	return r
}

// logBook collects log lines.
type logBook struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// client has a cookie jar and follows no redirects.
type client struct {
	*running
	http *http.Client
}

func (r *running) client() *client {
	jar, err := cookiejar.New(nil)
	require.NoError(r.t, err)
	return &client{r, &http.Client{
		Jar: jar, Timeout: time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (r *running) admin() *client {
	r.t.Helper()
	c := r.client()
	a := c.post("/auth/login", map[string]string{"email": adminEmail, "password": adminPassword})
	require.Equal(r.t, http.StatusOK, a.status, a.body)
	return c
}

var openAPI = sync.OnceValue(func() *openapi.Document {
	document, err := os.ReadFile("../../api/openapi.json")
	if err != nil {
		panic(err)
	}
	doc, err := openapi.Parse(document)
	if err != nil {
		panic(err)
	}
	return doc
})

type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) into(t *testing.T, v any) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(a.body), v), a.body)
}

func (a answer) code(t *testing.T) (code string, fields map[string]string) {
	t.Helper()
	var e struct {
		Error, RequestID string
		Fields           map[string]string
	}
	a.into(t, &e)
	require.Equal(t, a.header.Get("X-Request-Id"), e.RequestID)
	return e.Error, e.Fields
}

func (c *client) do(method, path, contentType string, body io.Reader, header ...string) answer {
	c.t.Helper()
	address := path
	if strings.HasPrefix(path, "/") {
		address = c.URL() + path
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, address, body)
	require.NoError(c.t, err)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := c.http.Do(req)
	require.NoError(c.t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(c.t, err)
	// Every answer in these tests is one that the OpenAPI document has.
	_, err = openAPI().CheckDefault(req, res.StatusCode, res.Header, text)
	require.NoError(c.t, err)
	return answer{res.StatusCode, res.Header, string(text)}
}

func (c *client) get(path string, header ...string) answer {
	c.t.Helper()
	return c.do(http.MethodGet, path, "", nil, header...)
}

func (c *client) post(path string, body any, header ...string) answer {
	c.t.Helper()
	raw, err := json.Marshal(body)
	require.NoError(c.t, err)
	return c.do(http.MethodPost, path, "application/json", bytes.NewReader(raw), header...)
}

// m is a JSON object.
type m map[string]any

// wish is POST /api/bookings, with changes; nil removes a field.
func wish(start string, changes m) m {
	body := m{"start": start, "firstName": "Ada", "lastName": "Lovelace", "email": "ada@example.com"}
	for name, value := range changes {
		if body[name] = value; value == nil {
			delete(body, name)
		}
	}
	return body
}

// slot is the nth free one of the sample resource from tomorrow on.
func (c *client) slot(n int) string {
	c.t.Helper()
	return c.slotOf("studio", n)
}

func (c *client) slotOf(resource string, n int) string {
	c.t.Helper()
	var slots struct{ Items []struct{ Start string } }
	c.get("/api/resources/"+resource+"/availability?from="+soon()).into(c.t, &slots)
	require.Greater(c.t, len(slots.Items), n)
	return slots.Items[n].Start
}

func (r *running) count(table string) (n int) {
	r.t.Helper()
	require.NoError(r.t, r.db.QueryRow(`SELECT count(*) FROM booking_platform.`+table).Scan(&n))
	return n
}

// addResource adds another resource.
func (r *running) addResource(res booking.Resource) booking.Resource {
	r.t.Helper()
	if res.TimeZone == "" {
		res.TimeZone = "Europe/Paris"
	}
	if res.SlotLength == 0 {
		res.SlotLength = time.Hour
	}
	if res.Price.Currency == "" {
		res.Price.Currency = "eur"
	}
	res, err := r.Bookings().CreateResource(r.t.Context(), res)
	require.NoError(r.t, err)
	return res
}

// dbProxy forwards to a Postgres and can be cut, thawed and frozen.
type dbProxy struct {
	target   string
	listener net.Listener
	mu       sync.Mutex
	conns    map[net.Conn]bool
	down     bool
	// frozen, if not nil, is closed to resume.
	frozen chan struct{}
}

func newDBProxy(t *testing.T, databaseURL string) (*dbProxy, string) {
	t.Helper()
	u, err := url.Parse(databaseURL)
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &dbProxy{target: u.Host, listener: listener, conns: map[net.Conn]bool{}}
	go p.serve()
	t.Cleanup(func() { p.thaw(); p.cut(); _ = listener.Close() })
	u.Host = listener.Addr().String()
	return p, u.String()
}

func (p *dbProxy) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil || !p.keep(client, server) {
			_ = client.Close()
			continue
		}
		go p.pipe(client, server)
		go p.pipe(server, client)
	}
}

func (p *dbProxy) keep(client, server net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down {
		_ = server.Close()
		return false
	}
	p.conns[client], p.conns[server] = true, true
	return true
}

func (p *dbProxy) pipe(from, to net.Conn) {
	defer func() { _, _ = from.Close(), to.Close() }()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		frozen := p.frozen
		p.mu.Unlock()
		if frozen != nil {
			<-frozen
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// cut closes every connection and each new one. It keeps the port, which another test
// could get.
func (p *dbProxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = true
	for c := range p.conns {
		_ = c.Close()
	}
	p.conns = map[net.Conn]bool{}
}

func (p *dbProxy) mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = false
}

// freeze keeps connections open and forwards nothing.
func (p *dbProxy) freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = make(chan struct{})
}

func (p *dbProxy) thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.frozen != nil {
		close(p.frozen)
		p.frozen = nil
	}
}
