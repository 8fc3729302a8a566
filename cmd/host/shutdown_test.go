package main_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// A running request finishes, new ones are refused, and the shutdown takes no longer.
func TestShutdown_FinishesRequests(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	// A free booking, because Stripe is behind the port that closes.
	h.addResource(booking.Resource{Slug: "talk", Name: "Talk"})
	start := time.Now().AddDate(0, 0, 3).UTC().Truncate(time.Hour).Format(time.RFC3339)
	body := fmt.Sprintf(`{"resource":"talk","start":%q,"firstName":"Ada","lastName":"Lovelace","email":"ada@example.com"}`, start)
	address := strings.TrimPrefix(h.URL(), "http://")
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer conn.Close()
	// The host asks for the body when the handler reads it.
	_, err = fmt.Fprintf(conn, "POST /api/bookings HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"+
		"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n", address, len(body))
	require.NoError(t, err)
	booked := bufio.NewReader(conn)
	line, err := booked.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "HTTP/1.1 100 Continue\r\n", line)
	_, err = booked.ReadString('\n')
	require.NoError(t, err)
	_, err = conn.Write([]byte(body[:20]))
	require.NoError(t, err)
	// An idle connection.
	idle, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer idle.Close()
	_, err = fmt.Fprintf(idle, "GET /health HTTP/1.1\r\nHost: %s\r\n\r\n", address)
	require.NoError(t, err)
	answers := bufio.NewReader(idle)
	res, err := http.ReadResponse(answers, nil)
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, res.Body)
	require.NoError(t, err)

	stopped := make(chan error, 1)
	began := time.Now()
	go func() { stopped <- h.stop() }()
	// Idle connections are closed first.
	_, err = answers.ReadByte()
	require.ErrorIs(t, err, io.EOF)
	_, err = conn.Write([]byte(body[20:]))
	require.NoError(t, err)
	res, err = http.ReadResponse(booked, nil)
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, http.StatusCreated, res.StatusCode)
	require.NoError(t, <-stopped)
	require.Less(t, time.Since(began), 15*time.Second)
	require.Contains(t, h.log.String(), `"msg":"stopped"`)
}

// The shutdown does not wait for the database: requests end with their limits.
func TestShutdown_DatabaseHangs(t *testing.T) {
	t.Parallel()
	proxy, url := newDBProxy(t, testdb.URL(t))
	h := startHost(t, map[string]string{"DATABASE_URL": url})
	h.failing = true
	c := h.client()
	require.Equal(t, http.StatusOK, c.get("/api/resources").status)
	proxy.freeze()
	answered := make(chan int, 1)
	go func() {
		res, err := http.Get(h.URL() + "/api/resources")
		if err != nil {
			answered <- 0
			return
		}
		defer res.Body.Close()
		answered <- res.StatusCode
	}()
	require.Eventually(t, func() bool { return h.Open() > 1 }, 10*time.Second, time.Millisecond)
	began := time.Now()
	err := h.stop()
	require.Less(t, time.Since(began), 40*time.Second)
	if status := <-answered; status != 0 {
		require.Equal(t, http.StatusServiceUnavailable, status)
		require.NoError(t, err)
	} else if err != nil {
		// Without an error the shutdown came before the request was read.
		require.ErrorContains(t, err, "requests were cut off")
	}
}

// Readiness fails first, and requests are still answered.
func TestShutdown_Grace(t *testing.T) {
	t.Parallel()
	h := startHost(t, map[string]string{"SHUTDOWN_GRACE": "5"})
	c := h.client()
	require.Equal(t, http.StatusOK, c.get("/health/db").status)
	stopped := make(chan error, 1)
	began := time.Now()
	go func() { stopped <- h.stop() }()
	require.Eventually(t, func() bool {
		return h.client().get("/health/db").status == http.StatusServiceUnavailable
	}, 4*time.Second, time.Millisecond)
	require.Equal(t, http.StatusOK, h.client().get("/health").status)
	require.Equal(t, http.StatusOK, h.client().get("/api/resources").status)
	require.NoError(t, <-stopped)
	require.GreaterOrEqual(t, time.Since(began), 5*time.Second)
}
