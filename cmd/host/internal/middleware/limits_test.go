package middleware_test

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/cmd/host/internal/middleware"
)

// A body has the size and the time of its route, and the route's context ends with its
// own limit.
func TestLimits(t *testing.T) {
	limits := middleware.Limits{Body: 8, Read: 2 * time.Second, Time: 3 * time.Second}
	var failed error
	var ended time.Duration
	route := func(w http.ResponseWriter, r *http.Request) {
		limits.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			began := time.Now()
			if _, failed = io.ReadAll(r.Body); failed != nil {
				w.WriteHeader(http.StatusBadRequest)
			}
			if r.URL.Path == "/hang" {
				<-r.Context().Done()
				ended = time.Since(began)
			}
		}), w, r)
	}
	bounded(t, middleware.ConnectionOptions{}, route, func(t *testing.T, n *pipes, _ *middleware.Connections) {
		ask := func(request string, rest ...string) int {
			c := n.dial(t, "192.0.2.1")
			defer c.Close()
			go func() { _, _ = io.WriteString(c, request) }()
			for _, more := range rest {
				go func() {
					time.Sleep(1500 * time.Millisecond)
					_, _ = io.WriteString(c, more)
				}()
			}
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			require.NoError(t, err)
			synctest.Wait()
			return res.StatusCode
		}
		require.Equal(t, 200, ask("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\n12345678"))
		require.NoError(t, failed)

		require.Equal(t, 400, ask("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n123456789"))
		var tooLarge *http.MaxBytesError
		require.True(t, errors.As(failed, &tooLarge), "%v", failed)

		began := time.Now()
		require.Equal(t, 400, ask("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\n1", "2"))
		require.ErrorIs(t, failed, os.ErrDeadlineExceeded, "a byte now and then gains no time")
		require.GreaterOrEqual(t, time.Since(began), 2*time.Second)
		require.Less(t, time.Since(began), 3*time.Second)

		for _, request := range []string{
			"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n", "POST /hang HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n1",
		} {
			ask(request)
			require.Equal(t, 3*time.Second, ended, "the time for a body is not the time for the work")
		}
	})
}

// A head that dribbles in is cut after five seconds, one that is too large at once.
func TestHeads(t *testing.T) {
	bounded(t, middleware.ConnectionOptions{}, ok, func(t *testing.T, n *pipes, _ *middleware.Connections) {
		c := n.dial(t, "192.0.2.1")
		began := time.Now()
		go func() {
			for _, err := io.WriteString(c, "GET / HTTP/1.1\r\nX-Slow: "); err == nil; _, err = io.WriteString(c, "x") {
				time.Sleep(time.Second)
			}
		}()
		_, err := http.ReadResponse(bufio.NewReader(c), nil)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		require.Equal(t, 5*time.Second, time.Since(began))

		large := n.dial(t, "192.0.2.1")
		go func() {
			_, _ = io.WriteString(large, "GET / HTTP/1.1\r\nHost: x\r\nX-Large: "+strings.Repeat("x", 64<<10)+
				"\r\n\r\n")
		}()
		res, err := http.ReadResponse(bufio.NewReader(large), nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, res.StatusCode)
	})
}
