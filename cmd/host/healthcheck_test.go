package main

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHealthcheckFollowsReadiness(t *testing.T) {
	t.Parallel()
	for status, ready := range map[int]bool{http.StatusOK: true, http.StatusServiceUnavailable: false, http.StatusNotFound: false} {
		mux := http.NewServeMux()
		mux.HandleFunc("GET /health/db", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		srv := httptest.NewServer(mux)
		t.Cleanup(srv.Close)
		for _, host := range []string{"", "0.0.0.0", "::", "127.0.0.1"} {
			environ := map[string]string{"BIND_ADDRESS": host, "PORT": portOf(t, srv.Listener)}
			require.Equal(t, ready, healthcheck(t.Context(), environ, io.Discard) == nil, "status %d, host %q", status, host)
		}
	}
}

func TestHealthcheckFailsWhereNobodyListens(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	require.ErrorContains(t, healthcheck(t.Context(), map[string]string{"PORT": portOf(t, l)}, io.Discard), "connection refused")
}

func portOf(t *testing.T, l net.Listener) string {
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	return port
}
