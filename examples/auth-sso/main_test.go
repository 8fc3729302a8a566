package main

import (
	"context"
	"database/sql"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// started is the service on an empty database, with its own provider.
func started(t *testing.T) (address string, db *sql.DB) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address = "http://" + listener.Addr().String()
	ctx, stop := context.WithCancel(t.Context())
	db = pgtest.New(t)
	s, err := newService(ctx, db, address, strings.Repeat("s", 32), provider{})
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- s.run(ctx, listener) }()
	t.Cleanup(func() { stop(); require.NoError(t, <-done) })
	return address, db
}

type browser struct {
	t       *testing.T
	address string
	client  http.Client
}

func newBrowser(t *testing.T, address string) *browser {
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	return &browser{t, address, http.Client{Jar: jar}}
}

// do returns the status, the path after redirects, and the body.
func (b *browser) do(method, path string) (int, string, string) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.address+path, nil)
	require.NoError(b.t, err)
	resp, err := b.client.Do(req)
	require.NoError(b.t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(b.t, err)
	require.NoError(b.t, resp.Body.Close())
	return resp.StatusCode, resp.Request.URL.Path, string(body)
}

// signOn opens a page and chooses the person at the provider.
func (b *browser) signOn(path, person string) (int, string, string) {
	b.t.Helper()
	_, at, page := b.do(http.MethodGet, path)
	require.Equal(b.t, "/provider/authorize", at)
	link := regexp.MustCompile(`\?([^"]+)">` + person).FindStringSubmatch(page)
	require.NotNil(b.t, link, page)
	return b.do(http.MethodGet, "/provider/authorize?"+strings.ReplaceAll(link[1], "&amp;", "&"))
}

func TestSignOn_ReturnsToThePage(t *testing.T) {
	t.Parallel()
	address, _ := started(t)
	ada := newBrowser(t, address)
	status, at, page := ada.signOn("/", "ada@example.com")
	require.Equal(t, http.StatusOK, status, page)
	require.Equal(t, "/", at)
	require.Contains(t, page, "ada@example.com, admin")
	_, _, me := ada.do(http.MethodGet, "/api/me")
	require.JSONEq(t, `{"user":{"id":"1","email":"ada@example.com","role":"admin"}}`, me)

	other := newBrowser(t, address)
	_, at, _ = other.signOn("/login?next=%2Fapi%2Fme", "grace@example.com")
	require.Equal(t, "/api/me", at)
	other = newBrowser(t, address)
	_, at, _ = other.signOn("/login?next=https%3A%2F%2Fevil.example", "grace@example.com")
	require.Equal(t, "/", at)

	ada.do(http.MethodPost, "/logout")
	status, _, _ = ada.do(http.MethodGet, "/api/me")
	require.Equal(t, http.StatusUnauthorized, status)
}

func TestSignOn_Uninvited(t *testing.T) {
	t.Parallel()
	address, _ := started(t)
	eve := newBrowser(t, address)
	status, _, _ := eve.signOn("/", "eve@example.com")
	require.Equal(t, http.StatusForbidden, status)
	status, _, _ = eve.do(http.MethodGet, "/api/me")
	require.Equal(t, http.StatusUnauthorized, status)
}

// An invitation is bound to the subject of the first sign-on, whatever the address
// becomes; another subject with that address gets nothing.
func TestSignOn_SubjectCounts(t *testing.T) {
	t.Parallel()
	address, db := started(t)
	newBrowser(t, address).signOn("/", "ada@example.com")
	_, err := db.ExecContext(t.Context(), `UPDATE staff.users SET email = 'ada@example.org' WHERE id = 1`)
	require.NoError(t, err)
	_, _, page := newBrowser(t, address).signOn("/", "ada@example.com")
	require.Contains(t, page, "ada@example.org, admin")

	u := users{db}
	_, err = u.signedOn(t.Context(), identity{Subject: "another", Email: "ada@example.org", EmailVerified: true})
	require.ErrorIs(t, err, sql.ErrNoRows)
	_, err = u.signedOn(t.Context(), identity{Subject: "another", Email: "grace@example.com"})
	require.ErrorIs(t, err, sql.ErrNoRows, "the provider has not verified the address")
}

// A foreign state, or another browser's code, starts no session.
func TestCallback_ForeignState(t *testing.T) {
	t.Parallel()
	address, _ := started(t)
	for _, query := range []string{"", "?code=1&state=2", "?state="} {
		status, _, _ := newBrowser(t, address).do(http.MethodGet, "/callback"+query)
		require.Equal(t, http.StatusBadRequest, status, query)
	}
	b := newBrowser(t, address)
	b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := b.client.Get(address + "/login")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	sent, err := url.Parse(resp.Header.Get("Location"))
	require.NoError(t, err)
	state := sent.Query().Get("state")
	resp, err = b.client.Get(address + "/callback?code=stolen&state=" + state)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusBadGateway, resp.StatusCode)
}

func TestGuards(t *testing.T) {
	t.Parallel()
	address, _ := started(t)
	ada, grace := newBrowser(t, address), newBrowser(t, address)
	status, _, _ := grace.do(http.MethodGet, "/api/users")
	require.Equal(t, http.StatusUnauthorized, status)
	ada.signOn("/", "ada@example.com")
	grace.signOn("/", "grace@example.com")
	status, _, _ = grace.do(http.MethodGet, "/api/users")
	require.Equal(t, http.StatusForbidden, status)
	status, _, _ = grace.do(http.MethodPost, "/api/users/1/disable")
	require.Equal(t, http.StatusForbidden, status)
	_, _, list := ada.do(http.MethodGet, "/api/users")
	require.JSONEq(t, `[{"id":1,"email":"ada@example.com","role":"admin","disabled":false},
		{"id":2,"email":"grace@example.com","role":"member","disabled":false}]`, list)
	status, _, _ = ada.do(http.MethodPost, "/api/users/9/disable")
	require.Equal(t, http.StatusNotFound, status)
}

// The sessions stay ended after the user is enabled again.
func TestDisable_EndsSessions(t *testing.T) {
	t.Parallel()
	address, db := started(t)
	ada, grace := newBrowser(t, address), newBrowser(t, address)
	ada.signOn("/", "ada@example.com")
	grace.signOn("/", "grace@example.com")
	_, _, body := ada.do(http.MethodPost, "/api/users/2/disable")
	require.JSONEq(t, `{"sessionsEnded":1}`, body)
	status, _, _ := grace.do(http.MethodGet, "/api/me")
	require.Equal(t, http.StatusUnauthorized, status)
	status, _, _ = newBrowser(t, address).signOn("/", "grace@example.com")
	require.Equal(t, http.StatusForbidden, status)

	_, err := db.ExecContext(t.Context(), `UPDATE staff.users SET disabled = false WHERE id = 2`)
	require.NoError(t, err)
	status, _, _ = grace.do(http.MethodGet, "/api/me")
	require.Equal(t, http.StatusUnauthorized, status, "the ended session stays ended")
	status, _, _ = newBrowser(t, address).signOn("/", "grace@example.com")
	require.Equal(t, http.StatusOK, status)
}
