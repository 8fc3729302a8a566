package doctor_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/cmd/host/internal/doctor"
)

// If nothing answers at METRICS_ADDR, the port of the host is checked.
func TestExamine_MetricsAddress(t *testing.T) {
	t.Parallel()
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
		"another program": {func(t *testing.T, w *world) {
			w.environ["METRICS_ADDR"], _ = answers(t, "/metrics", "go_goroutines 7")
		}, "warning metrics-address", "something else answers"},
		"no page of metrics": {func(t *testing.T, w *world) {
			w.environ["METRICS_ADDR"], _ = answers(t, "/", "# HELP booking_up Up.\nbooking_up 1")
		}, "warning metrics-address", "something else answers"},
		"nothing, and a host runs": {func(t *testing.T, w *world) {
			_, w.environ["PORT"] = answers(t, "/health", `{"status":"ok"}`)
		}, "warning metrics-address", "nothing answers"},
		"nothing, and another program runs": {func(t *testing.T, w *world) {
			_, w.environ["PORT"] = answers(t, "/health", `fine`)
		}, "", "no host runs here"},
		"nothing at the default address": {func(t *testing.T, w *world) {
			_, w.environ["PORT"] = answers(t, "/health", `{"status":"ok"}`)
			w.metrics, w.environ["METRICS_ADDR"] = w.environ["METRICS_ADDR"], ""
			w.environ["APP_ENV"], w.environ["STRIPE_SECRET_KEY"] = "development", testKey
			w.endpoints[0].Livemode = false
		}, "warning environment", "the default, is not public"},
		"a public one, and a host runs": {func(t *testing.T, w *world) {
			_, w.environ["PORT"] = answers(t, "/health", `{"status":"ok"}`)
			w.environ["METRICS_ADDR"] = "192.0.2.7:2"
		}, "problem metrics-address", "is a public address"},
		"nothing": {func(*testing.T, *world) {}, "", "no host runs here"},
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
