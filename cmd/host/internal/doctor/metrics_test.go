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

// The address of the metrics is asked, and where nobody answers, whether a host runs here
// at all.
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
			w.metrics, w.environ["METRICS_ADDR"] = w.environ["METRICS_ADDR"], ""
			w.environ["APP_ENV"], w.environ["STRIPE_SECRET_KEY"] = "development", testKey
			w.endpoints[0].Livemode = false
		}, "warning environment", "the default, is not public"},
		// It may be somebody else's, so neither it is asked nor what the answer would be
		// compared with.
		"a public one, and a host runs": {func(t *testing.T, w *world) {
			_, w.environ["PORT"] = answers(t, "/health", `{"status":"ok"}`)
			w.environ["METRICS_ADDR"] = "192.0.2.7:2"
		}, "problem metrics-address", "is a public address"},
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

// docker-compose.yml has the metrics on every address, of a container: whoever is not on
// its private network does not reach them. The port here is another, where nobody
// listens.
func TestMetricsOnEveryPrivateAddress(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		at        string
		addresses []string
		want      string
	}{
		"compose's": {"0.0.0.0:2", []string{"127.0.0.1/8", "172.18.0.3/16"}, ""},
		"all kinds": {":2", []string{"10.0.0.7/8", "192.168.0.7/24", "169.254.0.7/16", "100.64.0.7/10",
			"fd00::7/64", "fe80::7/64", "::1/128"}, ""},
		"one is public":    {":2", []string{"127.0.0.1/8", "100.128.0.7/16"}, "100.128.0.7 is a public one"},
		"IPv6 is not all":  {"0.0.0.0:2", []string{"172.18.0.3/16", "2001:db8::7/64"}, ""},
		"IPv6 is, for all": {"[::]:2", []string{"172.18.0.3/16", "203.0.113.7/24"}, "203.0.113.7 is a public one"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.environ["METRICS_ADDR"], w.addresses = c.at, c.addresses
			found := w.examine()
			if c.want == "" {
				require.Empty(t, amiss(found), whole(found))
				return
			}
			require.Equal(t, []string{"warning metrics-address"}, amiss(found), whole(found))
			require.Contains(t, whole(found), c.want)
		})
	}
}
