package main_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHealthcheck_ReadyAndNot(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	port := h.URL()[strings.LastIndex(h.URL(), ":")+1:]
	for _, address := range []string{"", "0.0.0.0", "::", "localhost"} {
		status, stdout, stderr := command(t, map[string]string{"PORT": port, "BIND_ADDRESS": address}, "healthcheck")
		require.Equal(t, 0, status, stderr)
		require.Equal(t, "ready\n", stdout)
	}
	ill := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter,
		_ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer ill.Close()
	status, _, stderr := command(t, map[string]string{"PORT": ill.URL[strings.LastIndex(ill.URL, ":")+1:]},
		"healthcheck")
	require.Equal(t, 1, status)
	require.Contains(t, stderr, "/health/db answers 503")
	status, _, stderr = command(t, map[string]string{"PORT": "1"}, "healthcheck")
	require.Equal(t, 1, status)
	require.Contains(t, stderr, "healthcheck: ")
}
