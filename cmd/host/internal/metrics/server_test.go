package metrics_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/cmd/host/internal/metrics"
)

// A scrape that runs when the host ends is finished, and the address is free afterwards.
func TestServer(t *testing.T) {
	t.Parallel()
	reading, release := make(chan struct{}), make(chan struct{})
	m, end := fixture(func(context.Context) error {
		close(reading)
		<-release
		return nil
	})
	defer end()
	s, err := metrics.Listen("127.0.0.1:0")
	require.NoError(t, err)
	s.Serve(m)
	client := &http.Client{Timeout: time.Minute}
	for _, path := range []string{"", "/debug/pprof/"} {
		res, err := client.Get(strings.TrimSuffix(s.URL(), "/metrics") + path)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusNotFound, res.StatusCode)
	}
	type answer struct {
		text string
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		res, err := client.Get(s.URL())
		if err != nil {
			answered <- answer{err: err}
			return
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		answered <- answer{string(text), err}
	}()
	<-reading
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	close(release)
	a := <-answered
	require.NoError(t, a.err)
	require.Contains(t, a.text, "booking_build_info")
	require.NoError(t, <-closed)
	address := strings.TrimSuffix(strings.TrimPrefix(s.URL(), "http://"), "/metrics")
	again, err := metrics.Listen(address)
	require.NoError(t, err)
	require.NoError(t, again.Close(), "one that never served")
}
