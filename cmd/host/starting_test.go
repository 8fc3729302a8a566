package main_test

import (
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	host "github.com/booking-platform/booking-platform/cmd/host"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// O9: health checks are answered while the host waits for its database.
func TestStart_AnswersWhileWaiting(t *testing.T) {
	t.Parallel()
	proxy, through := newDBProxy(t, testdb.URL(t))
	proxy.cut()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	_, port, err := net.SplitHostPort(free.Addr().String())
	require.NoError(t, err)
	require.NoError(t, free.Close())
	log := &logBook{}
	started := make(chan *host.Host, 1)
	go func() {
		h, err := host.Start(t.Context(), map[string]string{"PORT": port, "DATABASE_URL": through, "METRICS_ADDR": "off",
			"DATA_DIR": t.TempDir()}, log)
		if err != nil {
			t.Error(err)
		}
		started <- h
	}()
	get := func(path string) int {
		resp, err := http.Get("http://127.0.0.1:" + port + path)
		if err != nil {
			return 0
		}
		require.NoError(t, resp.Body.Close())
		return resp.StatusCode
	}
	eventually(t, "it listens", func() bool { return get("/health") == http.StatusOK })
	require.Equal(t, http.StatusServiceUnavailable, get("/health/db"))
	require.Equal(t, http.StatusServiceUnavailable, get("/webhook"))
	eventually(t, "the reason is logged", func() bool { return strings.Contains(log.String(), "waiting for the database") })
	require.NotContains(t, log.String(), `"level":"ERROR"`)

	proxy.mend()
	h := <-started
	require.NotNil(t, h)
	require.Equal(t, http.StatusOK, get("/health/db"))
	require.Equal(t, http.StatusOK, get("/"))
	h.Close()
}

func TestLogger_LevelAndFormat(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ level, format, want string }{
		"default":     {"", "", `"level":"INFO","msg":"one"`},
		"text":        {"", "text", `level=INFO msg=one`},
		"only errors": {"error", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := &logBook{}
			logger, err := host.LoggerOf(map[string]string{"LOG_LEVEL": c.level, "LOG_FORMAT": c.format}, log)
			require.NoError(t, err)
			logger.Info("one")
			require.Contains(t, log.String(), c.want)
			require.Equal(t, c.want == "", log.String() == "")
		})
	}
}
