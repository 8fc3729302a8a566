//go:build linux

package security

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// member is a user with a logged-in browser.
type member struct {
	*client
	email, password string
}

// addUser adds a user by the command line.
func (c *cluster) addUser(t *testing.T, role string) (email, password string) {
	t.Helper()
	n := c.serial.Add(1)
	email, password = fmt.Sprintf("user%04d@example.com", n), fmt.Sprintf("correct horse %04d battery", n)
	c.know("a password", password)
	c.command(t, password+"\n", "user", "add", "--role", role, email)
	return email, password
}

func (c *cluster) member(t *testing.T, role string) member {
	t.Helper()
	email, password := c.addUser(t, role)
	m := member{c.stranger(t), email, password}
	m.login(m.client)
	return m
}

// login logs the member in with a browser.
func (m member) login(browser *client) {
	m.t.Helper()
	a := browser.logIn(m.email, m.password)
	require.Equal(m.t, http.StatusOK, a.status, a.body)
}

func (c *client) logIn(email, password string) answer {
	c.t.Helper()
	return c.patiently(func() answer { return c.post("/auth/login", m{"email": email, "password": password}) })
}

// logInByForm logs in by the form of the page.
func (c *client) logInByForm(email, password, next string, header ...string) answer {
	c.t.Helper()
	fields := m{"email": email, "password": password}
	if next != "" {
		fields["next"] = next
	}
	return c.patiently(func() answer { return c.form("/login", fields, header...) })
}

// patiently repeats a login while the machine is too busy to compare passwords.
func (c *client) patiently(ask func() answer) (a answer) {
	c.t.Helper()
	for range 5 {
		if a = ask(); a.status != http.StatusServiceUnavailable {
			break
		}
	}
	return a
}

const (
	sessionName = "__Host-booking_session"
	deviceName  = "__Host-booking_device"
)

// onEvery returns the status of the browser's session on each host, without the proxy.
func (c *client) onEvery() (statuses []int) {
	c.t.Helper()
	for _, h := range c.hosts {
		statuses = append(statuses, c.at(h).get("/auth/me").status)
	}
	return statuses
}

var (
	everywhere = []int{http.StatusOK, http.StatusOK, http.StatusOK}
	nowhere    = []int{http.StatusUnauthorized, http.StatusUnauthorized, http.StatusUnauthorized}
)

// with returns a new browser with the given session.
func (c *client) with(token string) *client {
	other := *c
	other.cookies = map[string]string{sessionName: token}
	return &other
}
