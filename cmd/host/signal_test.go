//go:build unix

package main_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	host "github.com/booking-platform/booking-platform/cmd/host"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// signalled, set in the environment, is the database of a host that this program is to
// be, in a process of its own.
const (
	signalled       = "TEST_SIGNALLED_HOST"
	signalledSecret = "whsec_signalled"
)

// TestSignalledHost is the process that other tests signal, and nothing otherwise.
func TestSignalledHost(t *testing.T) {
	if url := os.Getenv(signalled); url != "" {
		os.Exit(host.Run(t.Context(), nil, map[string]string{
			"DATABASE_URL": url, "PORT": "0", "METRICS_ADDR": "off", "DATA_DIR": t.TempDir(),
			"STRIPE_WEBHOOK_SECRET": signalledSecret,
			"HOLDS_PER_EMAIL":       "0", "HOLDS_PER_ADDRESS": "0",
		}, os.Stdout, os.Stderr))
	}
}

// Supervisors send one signal to the process and to its group, so it comes twice: what
// runs is finished all the same.
func TestOneSignalSentTwice(t *testing.T) {
	t.Parallel()
	child := startSignalled(t, testdb.URL(t))
	await, address := child.await, child.address
	conn, err := net.DialTimeout("tcp", address, 5*time.Second)
	require.NoError(t, err)
	defer conn.Close()
	// A request runs: its head has arrived, which the host says by asking for the body.
	_, err = fmt.Fprintf(conn, "POST /api/bookings HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n", address)
	require.NoError(t, err)
	answers := bufio.NewReader(conn)
	line, err := answers.ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, line, "100 Continue")
	_, err = answers.ReadString('\n')
	require.NoError(t, err)

	require.NoError(t, child.Process.Signal(syscall.SIGTERM))
	await(`"msg":"shutting down"`)
	require.NoError(t, child.Process.Signal(syscall.SIGTERM))
	_, err = conn.Write([]byte("{}"))
	require.NoError(t, err)
	res, err := http.ReadResponse(answers, nil)
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, http.StatusBadRequest, res.StatusCode)
	await(`"msg":"stopped"`)
	require.NoError(t, child.Wait())
}

// signalledHost is a host in a process of its own.
type signalledHost struct {
	*exec.Cmd
	address string
	// await returns the next line of its log that has a text in it.
	await func(what string) string
}

func startSignalled(t *testing.T, databaseURL string) *signalledHost {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	child := exec.CommandContext(t.Context(), program, "-test.run=^TestSignalledHost$", "-test.timeout=120s")
	child.Env = append(os.Environ(), signalled+"="+databaseURL)
	stderr, err := child.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	// Read as they come: a log that nobody reads stops who writes it.
	lines := make(chan string, 1<<16)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(stderr); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	await := func(what string) string {
		for line := range lines {
			if strings.Contains(line, what) {
				return line
			}
		}
		require.Fail(t, "the host ended without a line", what)
		return ""
	}
	_, address, _ := strings.Cut(await(`"msg":"serving"`), `"address":"http://`)
	address, _, _ = strings.Cut(address, `"`)
	return &signalledHost{child, address, await}
}
