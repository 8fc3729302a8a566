package main_test

import (
	"crypto/rand"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	host "github.com/booking-platform/booking-platform/cmd/host"
)

// On a terminal the log is text in development, and JSON in production or when LOG_FORMAT
// says so.
func TestLogger_Terminal(t *testing.T) {
	t.Parallel()
	production := map[string]string{"APP_ENV": "production", "APP_URL": "https://booking.example.com",
		"DATABASE_URL": "postgres://127.0.0.1/x", "SESSION_SECRET": rand.Text() + rand.Text(),
		"STRIPE_SECRET_KEY": "sk_live_" + rand.Text(), "STRIPE_WEBHOOK_SECRET": "whsec_" + rand.Text()}
	for name, c := range map[string]struct {
		environ map[string]string
		want    string
	}{
		"development": {nil, `level=INFO msg=one`},
		"json":        {map[string]string{"LOG_FORMAT": "json"}, `"msg":"one"`},
		"production":  {production, `"msg":"one"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reader, terminal := openTerminal(t)
			logger, err := host.LoggerOf(c.environ, terminal)
			require.NoError(t, err)
			logger.Info("one")
			line := make([]byte, 4096)
			n, err := reader.Read(line)
			require.NoError(t, err)
			require.Contains(t, string(line[:n]), c.want)
		})
	}
}

// openTerminal returns a pseudo-terminal and the end from which its output is read.
func openTerminal(t *testing.T) (reader, terminal *os.File) {
	t.Helper()
	reader, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = reader.Close() })
	fd := int(reader.Fd())
	require.NoError(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	require.NoError(t, err)
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = terminal.Close() })
	return reader, terminal
}
