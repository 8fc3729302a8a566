package edge_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/cmd/host/edge"
)

// ask sends n requests at once, and reads nothing.
func ask(t *testing.T, c net.Conn, n int) {
	t.Helper()
	_, err := io.WriteString(c, strings.Repeat("GET / HTTP/1.1\r\nHost: x\r\n\r\n", n))
	require.NoError(t, err)
}

// Who asks before the answer was read gets every answer, each a second later than the one before.
func TestPipelinedRequestsWait(t *testing.T) {
	bounded(t, edge.ConnectionOptions{}, ok, func(t *testing.T, n *pipes, _ *edge.Connections) {
		c := n.dial(t, "192.0.2.1")
		ask(t, c, 4)
		answers, began := bufio.NewReader(c), time.Now()
		for _, after := range []int{0, 1, 3, 6} {
			res, err := http.ReadResponse(answers, nil)
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, res.StatusCode)
			require.NoError(t, res.Body.Close())
			require.Equal(t, time.Duration(after)*time.Second, time.Since(began))
		}
		// One after the other is as ever, on another connection.
		other := n.dial(t, "192.0.2.1")
		began = time.Now()
		for range 20 {
			get(t, other)
		}
		require.Zero(t, time.Since(began))
	})
}

// Who waits for such a request can be cut, for a newcomer and at the end.
func TestPipelinedRequestsKeepNoPlace(t *testing.T) {
	served := 0
	bounded(t, edge.ConnectionOptions{Max: 1}, func(http.ResponseWriter, *http.Request) { served++ }, func(t *testing.T, n *pipes, connections *edge.Connections) {
		c := n.dial(t, "192.0.2.1")
		ask(t, c, 2)
		_, err := http.ReadResponse(bufio.NewReader(c), nil)
		require.NoError(t, err)
		time.Sleep(200 * time.Millisecond)
		require.Equal(t, edge.ConnectionStats{Open: 1, Waiting: 1}, connections.Stats())
		genuine := n.dial(t, "198.51.100.1")
		get(t, genuine)
		time.Sleep(time.Minute)
		require.Equal(t, 2, served, "the request of the one that was cut is not begun")
		require.Equal(t, int64(1), connections.Stats().Cut)
	})
}
