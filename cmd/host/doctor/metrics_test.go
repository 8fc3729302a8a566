package doctor_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/cmd/host/doctor"
)

// The address of the metrics is asked, and where nobody answers, whether a host runs here at all.
func TestMetricsAreAsked(t *testing.T) {
	t.Parallel()
	// answers is a server with one answer; it returns its address and its port.
	answers := func(t *testing.T, path, body string) (address, port string) {
		t.Helper()
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != path {
				w.WriteHeader(http.StatusNotFound)
			}
			_, _ = fmt.Fprintln(w, body)
		}))
		t.Cleanup(server.Close)
		u, err := url.Parse(server.URL)
		require.NoError(t, err)
		return u.Host, u.Port()
	}
	for name, c := range map[string]struct {
		plant func(t *testing.T, w *world)
		want  string
		says  string
	}{
		"the host's": {func(t *testing.T, w *world) {
			w.environ["METRICS_ADDR"], _ = answers(t, "/metrics", "# HELP booking_up Up.\nbooking_up 1")
		}, "", "answers with the host's metrics"},
		"somebody else's": {func(t *testing.T, w *world) {
			w.environ["METRICS_ADDR"], _ = answers(t, "/metrics", "go_goroutines 7")
		}, "warning metrics-address", "something else answers"},
		"no page of metrics": {func(t *testing.T, w *world) {
			w.environ["METRICS_ADDR"], _ = answers(t, "/", "# HELP booking_up Up.\nbooking_up 1")
		}, "warning metrics-address", "something else answers"},
		"nobody's, and a host runs": {func(t *testing.T, w *world) {
			_, w.environ["PORT"] = answers(t, "/health", `{"status":"ok"}`)
		}, "warning metrics-address", "nobody answers"},
		"nobody's, and another program runs": {func(t *testing.T, w *world) {
			_, w.environ["PORT"] = answers(t, "/health", `fine`)
		}, "", "no host runs here"},
		"nobody's, and nobody asked for it": {func(t *testing.T, w *world) {
			_, w.environ["PORT"] = answers(t, "/health", `{"status":"ok"}`)
			// Whoever runs the tests may run a host of their own, whose metrics are at the default address.
			w.environ["METRICS_ADDR"], w.environ["APP_ENV"], w.environ["STRIPE_SECRET_KEY"] = "", "development", testKey
			w.endpoints[0].Livemode = false
		}, "warning environment", "127.0.0.1:9464"},
		"nobody's": {func(*testing.T, *world) {}, "", "no host runs here"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c.plant(t, w)
			found := w.examine()
			require.Equal(t, c.want, strings.Join(amiss(found), ","), whole(found))
			for _, f := range found {
				if f.Name == doctor.MetricsAddress {
					require.Contains(t, f.Found, c.says)
					return
				}
			}
			t.Fatal("not examined:\n" + whole(found))
		})
	}
}
