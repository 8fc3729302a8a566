package main_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
)

// A request that is under way when the host is told to stop is finished; new ones are refused; the end comes soon.
func TestShutdownFinishesWhatRuns(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	// Free of charge: the stand-in, which takes the payments, is behind the port that closes.
	h.addResource(booking.Resource{Slug: "talk", Name: "Talk"})
	start := time.Now().AddDate(0, 0, 3).UTC().Truncate(time.Hour).Format(time.RFC3339)
	body := fmt.Sprintf(`{"resource":"talk","start":%q,"firstName":"Ada","lastName":"Lovelace","email":"ada@example.com"}`, start)
	address := strings.TrimPrefix(h.URL(), "http://")
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer conn.Close()
	// The host has the head and half of the body: the request runs.
	_, err = fmt.Fprintf(conn, "POST /api/bookings HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", address, len(body), body[:20])
	require.NoError(t, err)
	// Another one on a connection of its own shows that the first has arrived.
	require.Equal(t, http.StatusOK, h.client().get("/health").status)

	stopped := make(chan error, 1)
	began := time.Now()
	go func() { stopped <- h.stop() }()
	eventually(t, "refused", func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	})
	_, err = conn.Write([]byte(body[20:]))
	require.NoError(t, err)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, http.StatusCreated, res.StatusCode)
	require.NoError(t, <-stopped)
	require.Less(t, time.Since(began), 15*time.Second)
	require.Contains(t, h.log.String(), `"msg":"stopped"`)
}
