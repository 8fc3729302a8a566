package main_test

import (
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	host "github.com/booking-platform/booking-platform/cmd/host"
	"github.com/booking-platform/booking-platform/cmd/host/internal/config"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// onOwnPort has a host expose metrics at a port that the system chooses.
var onOwnPort = map[string]string{"METRICS_ADDR": "127.0.0.1:0"}

// sample is one line of a scrape.
type sample struct {
	name   string
	labels map[string]string
	value  float64
}

// scraped is what Prometheus reads: the samples, and the type of each family.
type scraped struct {
	samples []sample
	types   map[string]string
}

var (
	sampleLine = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$`)
	labelPair  = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"`)
)

// scrape reads the series as Prometheus does, in its text format.
func (c *client) scrape() scraped {
	c.t.Helper()
	a := c.get(c.MetricsURL())
	require.Equal(c.t, http.StatusOK, a.status, a.body)
	s := scraped{types: map[string]string{}}
	for line := range strings.Lines(a.body) {
		line = strings.TrimSuffix(line, "\n")
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, kind, _ := strings.Cut(rest, " ")
			s.types[name] = kind
		}
		if strings.HasPrefix(line, "#") {
			continue
		}
		parts := sampleLine.FindStringSubmatch(line)
		require.NotNil(c.t, parts, line)
		one := sample{name: parts[1], labels: map[string]string{}}
		for _, pair := range labelPair.FindAllStringSubmatch(parts[2], -1) {
			one.labels[pair[1]] = pair[2]
		}
		var err error
		one.value, err = strconv.ParseFloat(parts[3], 64)
		require.NoError(c.t, err, line)
		s.samples = append(s.samples, one)
	}
	return s
}

// value is the one sample of that name that has those labels, among others perhaps; ok
// tells whether there is one.
func (s scraped) value(t *testing.T, name string, labels ...string) (v float64, ok bool) {
	t.Helper()
	for _, one := range s.samples {
		matches := one.name == name
		for i := 0; i < len(labels); i += 2 {
			matches = matches && one.labels[labels[i]] == labels[i+1]
		}
		if !matches {
			continue
		}
		require.False(t, ok, "%s%v is several series", name, labels)
		v, ok = one.value, true
	}
	return v, ok
}

func (s scraped) require(t *testing.T, want float64, name string, labels ...string) {
	t.Helper()
	v, ok := s.value(t, name, labels...)
	require.True(t, ok, "%s%v is missing", name, labels)
	require.InDelta(t, want, v, 0, "%s%v", name, labels)
}

// Prometheus sees what happens, and sees nobody: neither customers nor ids nor paths as
// they were asked for.
func TestMetricsFollowABooking(t *testing.T) {
	t.Parallel()
	h := startHost(t, onOwnPort)
	ada := h.client()
	require.Equal(t, http.StatusNotFound, ada.get("/metrics").status, "it has an address of its own")
	require.Equal(t, http.StatusNotFound, ada.get(strings.TrimSuffix(h.MetricsURL(), "metrics")).status)

	b := ada.booked(0)
	require.Equal(t, http.StatusConflict,
		ada.post("/api/bookings", wish(b.Start, m{"email": "eve@example.com"})).status)
	ada.do("PROPFIND", "/api/bookings", "", nil)
	require.Equal(t, http.StatusBadRequest, ada.post("/webhook", m{}).status)
	b.pay()
	require.Equal(t, http.StatusNotFound, ada.get("/api/bookings/"+b.ID+"?token=wrong").status)
	ada.get("/no/such/" + b.ID)

	// A reading of the database is kept for a few seconds.
	eventually(t, "the webhook's event is read", func() bool {
		_, ok := ada.scrape().value(t, "booking_webhook_last_processed_timestamp_seconds")
		return ok
	})
	s := ada.scrape()
	s.require(t, 1, "booking_holds_total", "result", "held")
	s.require(t, 1, "booking_holds_total", "result", "taken")
	s.require(t, 1, "booking_webhook_deliveries_total", "outcome", "processed")
	s.require(t, 1, "booking_webhook_deliveries_total", "outcome", "rejected")
	s.require(t, 1, "booking_webhook_reasons_total", "reason", "signature_missing")
	s.require(t, 1, "booking_webhook_signatures_total", "secret", "1")
	const requests = "booking_http_request_duration_seconds_count"
	s.require(t, 1, requests, "route", "/api/bookings/{id}", "method", "GET", "status", "4xx")
	s.require(t, 1, requests, "route", "/api/bookings", "method", "POST", "status", "4xx")
	s.require(t, 1, requests, "method", "other")
	s.require(t, 2, requests, "route", "none", "method", "GET")
	s.require(t, 1, "booking_database_up")
	s.require(t, 1, "booking_ready")
	s.require(t, 20, "go_sql_max_open_connections", "db_name", "booking_platform")
	eventually(t, "each step has succeeded", func() bool {
		for _, one := range ada.scrape().samples {
			if one.name == "booking_step_last_success_timestamp_seconds" && one.value == 0 {
				return false
			}
		}
		return true
	})
	text := ada.get(h.MetricsURL()).body
	for _, secret := range []string{b.ID, b.Token, b.StripeSessionID, "ada@", "eve@", adminEmail, "whsec_", "sk_",
		"evt_", "PROPFIND", "/no/such"} {
		require.NotContains(t, text, secret)
	}
}

// booking is a hold of ada's.
type madeBooking struct {
	created
	Start string
	pay   func()
}

func (c *client) booked(nth int) madeBooking {
	c.t.Helper()
	b := madeBooking{Start: c.slot(nth)}
	a := c.post("/api/bookings", wish(b.Start, nil))
	require.Equal(c.t, http.StatusCreated, a.status, a.body)
	a.into(c.t, &b.created)
	b.pay = func() {
		_, err := c.StripeFake().Pay(c.t.Context(), b.StripeSessionID)
		require.NoError(c.t, err)
		eventually(c.t, "the booking is confirmed", func() bool {
			var v shown
			c.get("/api/bookings/"+b.ID, "Authorization", "Bearer "+b.Token).into(c.t, &v)
			return v.Status == "confirmed"
		})
	}
	return b
}

// While the database is gone, or says nothing, a scrape answers, and says so; what does
// not come from the database is still there.
func TestMetricsWithoutADatabase(t *testing.T) {
	t.Parallel()
	for name, take := range map[string]func(*dbProxy){"gone": (*dbProxy).cut, "silent": (*dbProxy).freeze} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy, through := newDBProxy(t, testdb.URL(t))
			h := startHost(t, map[string]string{"DATABASE_URL": through, "METRICS_ADDR": "127.0.0.1:0"})
			c := h.client()
			var s scraped
			eventually(t, "a scrape has read the database", func() bool {
				s = c.scrape()
				up, _ := s.value(t, "booking_database_up")
				return up == 1
			})
			s.require(t, 0, "booking_payments_waiting", "state", "parked")

			take(proxy)
			eventually(t, "a scrape says that the database is down", func() bool {
				s = c.scrape()
				up, _ := s.value(t, "booking_database_up")
				return up == 0
			})
			s.require(t, 0, "booking_ready")
			s.require(t, 0, "booking_holds_total", "result", "held")
			_, ok := s.value(t, "booking_payments_waiting", "state", "parked")
			require.False(t, ok, "what was true is not said of now")

			proxy.mend()
			proxy.thaw()
			eventually(t, "it is up again", func() bool {
				s = c.scrape()
				up, _ := s.value(t, "booking_database_up")
				return up == 1
			})
			failures, _ := s.value(t, "booking_database_read_failures_total")
			require.Positive(t, failures)
		})
	}
}

// An address that somebody has set is wanted; the default one is taken where it is free.
func TestMetricsAddressInUse(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	address := taken.Addr().String()
	_, err = host.Start(t.Context(), map[string]string{
		"PORT": "0", "METRICS_ADDR": address, "DATABASE_URL": testdb.EmptyURL(t), "DATA_DIR": t.TempDir(),
	}, &logBook{})
	require.ErrorContains(t, err, "METRICS_ADDR")
	require.ErrorContains(t, err, address)

	log := &logBook{}
	server, err := host.ListenForScrapes(config.Config{Metrics: config.Metrics{Address: address}}, host.NewLogger(log))
	require.NoError(t, err)
	require.Nil(t, server)
	require.Contains(t, log.String(), "METRICS_ADDR")
	require.Contains(t, log.String(), address)

	off := startHost(t, map[string]string{"METRICS_ADDR": "off"})
	require.Empty(t, off.MetricsURL())
}
