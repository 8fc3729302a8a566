package main_test

import (
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	host "github.com/booking-platform/booking-platform/cmd/host"
	"github.com/booking-platform/booking-platform/cmd/host/internal/config"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// onOwnPort sets METRICS_ADDR to a port that the system chooses.
var onOwnPort = map[string]string{"METRICS_ADDR": "127.0.0.1:0"}

type sample struct {
	name   string
	labels map[string]string
	value  float64
}

// scraped has the samples, and the families' types.
type scraped struct {
	samples []sample
	types   map[string]string
}

var (
	sampleLine = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$`)
	labelPair  = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"`)
)

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

// value returns the sample with that name and, among others, these labels.
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

// Labels contain no customers, ids or request paths.
func TestMetrics_FollowBooking(t *testing.T) {
	t.Parallel()
	h := startHost(t, onOwnPort)
	ada := h.client()
	require.Equal(t, http.StatusNotFound, ada.get("/metrics").status, "it has an address of its own")
	require.Equal(t, http.StatusNotFound, ada.get(strings.TrimSuffix(h.MetricsURL(), "metrics")).status)
	// So have the profiles.
	require.Equal(t, http.StatusOK, ada.get(strings.TrimSuffix(h.MetricsURL(), "metrics")+
		"debug/pprof/goroutine?debug=1").status)

	b := ada.booked(0)
	require.Equal(t, http.StatusConflict,
		ada.post("/api/bookings", wish(b.Start, m{"email": "eve@example.com"})).status)
	ada.do("PROPFIND", "/api/bookings", "", nil)
	require.Equal(t, http.StatusBadRequest, ada.post("/webhook", m{}).status)
	b.pay()
	require.Equal(t, http.StatusNotFound, ada.get("/api/bookings/"+b.ID+"?token=wrong").status)
	ada.get("/no/such/" + b.ID)

	// A reading of the database is reused for a few seconds.
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

// A step that is exported and never runs would be the alert BookingStepWithoutSuccess for
// ever.
func TestMetrics_EveryStepSucceeds(t *testing.T) {
	t.Parallel()
	h := startHost(t, onOwnPort)
	c := h.client()
	const success = "booking_step_last_success_timestamp_seconds"
	eventually(t, "every step has succeeded", func() bool {
		for _, one := range c.scrape().samples {
			if one.name == success && one.value == 0 {
				return false
			}
		}
		return true
	})
	require.Contains(t, c.scrape().values(success, "step"), "notify.Send")
}

// A scrape succeeds without the metrics from the database.
func TestMetrics_WithoutDatabase(t *testing.T) {
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

// A configured address in use is an error, the default is not.
func TestMetrics_AddressInUse(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	address := taken.Addr().String()
	_, err = host.Start(t.Context(), map[string]string{
		"PORT": "0", "METRICS_ADDR": address, "DATABASE_URL": testdb.EmptyURL(t), "DATA_DIR": t.TempDir(),
	}, &logBook{})
	require.ErrorContains(t, err, "set METRICS_ADDR to a free address")
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

type rule struct {
	Alert, Expr, For    string
	Labels, Annotations map[string]string
}

func alerts(t *testing.T) (all []rule) {
	t.Helper()
	content, err := os.ReadFile("../../ops/alerts.yml")
	require.NoError(t, err)
	var file struct{ Groups []struct{ Rules []rule } }
	require.NoError(t, yaml.Unmarshal(content, &file))
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	require.NotEmpty(t, all)
	return all
}

type panel struct {
	ID          int
	Type, Title string
	Datasource  struct{ Type, UID string }
	GridPos     struct{ H, W, X, Y int }
	Links       []struct{ URL string }
	Targets     []struct {
		Datasource struct{ UID string }
		Expr       string
	}
}

func panels(t *testing.T) []panel {
	t.Helper()
	content, err := os.ReadFile("../../ops/grafana-dashboard.json")
	require.NoError(t, err)
	var board struct {
		Title, UID string
		Panels     []panel
		Templating struct {
			List []struct{ Name, Type string }
		}
	}
	require.NoError(t, json.Unmarshal(content, &board))
	require.NotEmpty(t, board.UID)
	var variables []string
	for _, v := range board.Templating.List {
		variables = append(variables, v.Name+" "+v.Type)
	}
	require.Equal(t, []string{"datasource datasource", "instance query", "runbook textbox"}, variables)
	require.NotEmpty(t, board.Panels)
	return board.Panels
}

// Alerts and dashboard use only metrics, labels and values that a host exports.
func TestOps_ExpressionsMatchMetrics(t *testing.T) {
	t.Parallel()
	s := exposed(t)
	known := map[string]bool{"up": true}
	for _, one := range s.samples {
		known[one.name] = true
	}
	used := map[string]bool{}
	check := func(where, expr string) {
		for _, sel := range selectors(t, expr) {
			used[sel.name] = true
			if !known[sel.name] {
				t.Errorf("%s: no host exposes %s", where, sel.name)
				continue
			}
			for _, m := range sel.matchers {
				if problem := s.problem(sel.name, m); problem != "" {
					t.Errorf("%s: %s", where, problem)
				}
			}
		}
		for _, label := range grouped(expr) {
			if !s.anyHas(selectors(t, expr), label) {
				t.Errorf("%s: groups by %s, which none of its series has", where, label)
			}
		}
	}
	for _, r := range alerts(t) {
		check(r.Alert, r.Expr)
		for _, m := range templateLabel.FindAllStringSubmatch(strings.Join(slices.Collect(maps.Values(r.Annotations)),
			" "), -1) {
			require.True(t, s.anyHas(selectors(t, r.Expr), m[1]), "%s: names %s, which none of its series has", r.Alert,
				m[1])
		}
	}
	for _, p := range panels(t) {
		for _, target := range p.Targets {
			check(p.Title, target.Expr)
		}
	}
	// Each of our metrics is used; of a histogram, one of its three parts.
	for family := range s.types {
		if strings.HasPrefix(family, "booking_") {
			require.True(t, used[family] || used[family+"_count"] || used[family+"_bucket"] || used[family+"_sum"],
				"neither an alert nor the dashboard reads %s", family)
		}
	}
}

var templateLabel = regexp.MustCompile(`\$labels\.(\w+)`)

// headings are the sections of RUNBOOK.md by anchor.
func headings(t *testing.T) map[string]string {
	t.Helper()
	page, err := os.ReadFile("../../RUNBOOK.md")
	require.NoError(t, err)
	all := map[string]string{}
	for _, section := range strings.Split(string(page), "\n## ")[1:] {
		title, text, _ := strings.Cut(section, "\n")
		all[strings.ReplaceAll(strings.ToLower(title), " ", "-")] = text
	}
	return all
}

// O3: each alert links to the section that names it, and the sections name no others.
func TestOps_AlertsAreComplete(t *testing.T) {
	t.Parallel()
	cases, err := os.ReadFile("../../ops/alerts_test.yml")
	require.NoError(t, err)
	sections := headings(t)
	seen := map[string]bool{}
	for _, r := range alerts(t) {
		require.Regexp(t, `^Booking[A-Za-z]+$`, r.Alert)
		require.False(t, seen[r.Alert], r.Alert)
		seen[r.Alert] = true
		require.NotEmpty(t, r.For, "%s: one bad scrape is no alert", r.Alert)
		require.Contains(t, []string{"page", "ticket"}, r.Labels["severity"], r.Alert)
		require.NotEmpty(t, r.Annotations["summary"], r.Alert)
		section, ok := strings.CutPrefix(r.Annotations["runbook"], "RUNBOOK.md#")
		require.True(t, ok, r.Alert)
		require.Contains(t, sections[section], "`"+r.Alert+"`", "RUNBOOK.md#%s is not about it", section)
		require.Contains(t, string(cases), `alertname="`+r.Alert+`"`, "ops/alerts_test.yml has it fire")
	}
	for section, text := range sections {
		for _, name := range regexp.MustCompile("`(Booking[A-Z]\\w+)`").FindAllStringSubmatch(text, -1) {
			require.True(t, seen[name[1]], "RUNBOOK.md#%s names %s, which is no alert", section, name[1])
		}
	}
}

func TestOps_DashboardIsComplete(t *testing.T) {
	t.Parallel()
	sections := headings(t)
	ids := map[int]bool{}
	type cell struct{ x, y int }
	taken := map[cell]string{}
	for _, p := range panels(t) {
		require.NotEmpty(t, p.Title)
		require.False(t, ids[p.ID], "%s: its id is another's too", p.Title)
		ids[p.ID] = true
		require.LessOrEqual(t, p.GridPos.X+p.GridPos.W, 24, p.Title)
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				require.Empty(t, taken[cell{x, y}], "%s lies over it", p.Title)
				taken[cell{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		require.NotEmpty(t, p.Targets, p.Title)
		for _, link := range p.Links {
			anchor, ok := strings.CutPrefix(link.URL, "${runbook}#")
			require.True(t, ok && sections[anchor] != "", "%s: %s", p.Title, link.URL)
		}
		require.Equal(t, "${datasource}", p.Datasource.UID, p.Title)
		for _, target := range p.Targets {
			require.Equal(t, "${datasource}", target.Datasource.UID, p.Title)
		}
	}
}
