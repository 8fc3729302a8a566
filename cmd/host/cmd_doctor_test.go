package main_test

import (
	"bufio"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/cmd/host/internal/doctor"
	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/payments/stripetest"
)

func examined(t *testing.T, environ map[string]string,
	args ...string) (status int, found map[doctor.Name]doctor.Finding, stderr string) {
	t.Helper()
	status, stdout, stderr := command(t, environ, append([]string{"doctor", "--json"}, args...)...)
	found = map[doctor.Name]doctor.Finding{}
	for lines := bufio.NewScanner(strings.NewReader(stdout)); lines.Scan(); {
		var f doctor.Finding
		require.NoError(t, json.Unmarshal(lines.Bytes(), &f), lines.Text())
		found[f.Name] = f
	}
	return status, found, stderr
}

// amiss are the findings that are not OK, as name and level.
func amiss(found map[doctor.Name]doctor.Finding) map[doctor.Name]doctor.Level {
	all := map[doctor.Name]doctor.Level{}
	for name, f := range found {
		if f.Level != doctor.OK {
			all[name] = f.Level
		}
	}
	return all
}

// Without any configuration there is no problem, and nothing is created. Metrics are off,
// because another host may use their default address on this machine.
func TestDoctor_NothingConfigured(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	status, stdout, stderr := command(t, map[string]string{"DATA_DIR": data, "METRICS_ADDR": "off"}, "doctor")
	require.Equal(t, 0, status, stderr)
	require.Empty(t, stderr)
	require.Contains(t, stdout, "\n0 problems, 0 warnings")
	require.Contains(t, stdout, "APP_ENV=production host doctor")
	require.NoDirExists(t, data)
}

// A configuration that cannot start is reported in full, and the other checks are made.
func TestDoctor_BadConfiguration(t *testing.T) {
	t.Parallel()
	status, stdout, stderr := command(t, map[string]string{
		"APP_ENV": "production", "APP_URL": "https://booking.example.com",
		"DATABASE_URL": "postgres://u:hunter2hunter2@127.0.0.1:1/b", "PORT": "x",
		"SESSION_SECRET": strings.Repeat("s", 32), "STRIPE_SECRET_KEY": "pk_live_hunter2hunter2",
		"STRIPE_WEBHOOK_SECRET": "hunter2hunter2",
	}, "doctor")
	require.Equal(t, 1, status)
	require.Contains(t, stderr, "host: doctor: 6 problems\n")
	for _, want := range []string{
		"problem  configuration: PORT is", "problem  configuration: STRIPE_SECRET_KEY is not",
		"problem  configuration: STRIPE_WEBHOOK_SECRET has",
		"problem  session-secret: ",
		"problem  secret-reused: the password of DATABASE_URL is the same as STRIPE_WEBHOOK_SECRET",
		"problem  database: cannot be reached", "warning  trust-proxy: ",
	} {
		require.Contains(t, stdout, want)
	}
	require.NotContains(t, stdout+stderr, "hunter2")
}

// Beside a running host on its own Postgres, doctor checks its data and changes nothing.
func TestDoctor_BesideRunningHost(t *testing.T) {
	t.Parallel()
	env := map[string]string{"DATABASE_URL": testdb.URL(t), "DATA_DIR": t.TempDir(), "METRICS_ADDR": "off"}
	h := startHost(t, env)
	before, err := os.ReadDir(env["DATA_DIR"])
	require.NoError(t, err)
	status, found, stderr := examined(t, env)
	require.Equal(t, 0, status, stderr)
	require.Empty(t, amiss(found))
	require.Equal(t, "1 can be booked", found[doctor.Resources].Found)
	after, err := os.ReadDir(env["DATA_DIR"])
	require.NoError(t, err)
	require.Len(t, after, len(before))
	require.Zero(t, h.count("bookings"))
}

// A server that accepts connections and never answers is a finding in bounded time.
func TestDoctor_FrozenDatabase(t *testing.T) {
	t.Parallel()
	frozen, through := newDBProxy(t, testdb.URL(t))
	frozen.freeze()
	status, found, _ := examined(t, map[string]string{"DATABASE_URL": through, "METRICS_ADDR": "off"})
	require.Equal(t, 1, status)
	require.Equal(t, map[doctor.Name]doctor.Level{doctor.Database: doctor.Problem}, amiss(found))
	require.Contains(t, found, doctor.Stripe)
}

func TestDoctorBase_HealthyAndUnreachable(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	status, found, stderr := examined(t, nil, "--base", h.URL())
	require.Equal(t, 0, status, stderr)
	require.Empty(t, amiss(found))
	require.Len(t, found, 5)
	require.Zero(t, h.count("bookings"))

	status, found, _ = examined(t, nil, "--base", "http://127.0.0.1:1")
	require.Equal(t, 1, status)
	require.Equal(t, map[doctor.Name]doctor.Level{doctor.BaseReachable: doctor.Problem}, amiss(found))
	require.Len(t, found, 1)
}

// Each fault of a host, or of a proxy in front of it, leads to its own finding.
func TestDoctorBase_EachFault(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	target, err := url.Parse(h.URL())
	require.NoError(t, err)
	says := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status); _, _ = w.Write([]byte(body)) }
	}
	for name, c := range map[string]struct {
		path   string
		answer http.HandlerFunc
		want   doctor.Name
		level  doctor.Level
	}{
		"live": {path: "/health", answer: says(200, "<html>"), want: doctor.BaseLive, level: doctor.Problem},
		"ready": {path: "/health/db", answer: says(503, `{"status":"unavailable"}`), want: doctor.BaseReady,
			level: doctor.Problem},
		"webhook":         {path: "/webhook", answer: says(200, ""), want: doctor.BaseWebhook, level: doctor.Problem},
		"webhook limited": {path: "/webhook", answer: says(429, ""), want: doctor.BaseWebhook, level: doctor.Warning},
		"open metrics": {path: "/metrics", answer: says(200, "up 1"), want: doctor.BaseMetrics,
			level: doctor.Problem},
		"admin metrics": {path: "/admin/metrics", answer: says(200, "{}"), want: doctor.BaseMetrics,
			level: doctor.Problem},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy := httputil.NewSingleHostReverseProxy(target)
			front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if c.answer != nil && r.URL.Path == c.path {
					c.answer(w, r)
					return
				}
				proxy.ServeHTTP(w, r)
			}))
			defer front.Close()
			_, found, _ := examined(t, nil, "--base", front.URL)
			require.Equal(t, map[doctor.Name]doctor.Level{c.want: c.level}, amiss(found), found[c.want].Found)
		})
	}
}

// One payment through the stand-in's page is counted once everywhere; slot and money are
// returned.
func TestDoctorPay_StandIn(t *testing.T) {
	t.Parallel()
	env := map[string]string{"DATABASE_URL": testdb.URL(t)}
	h := startHost(t, env)
	status, found, stderr := examined(t, env, "--base", h.URL(), "--pay")
	require.Equal(t, 0, status, stderr)
	require.Empty(t, amiss(found))
	require.Equal(t, "1 confirmed booking, 1 payment, 1 row of the ledger", found[doctor.PayOnce].Found)
	require.Contains(t, found, doctor.PayRefunded)
	require.Zero(t, h.StripeFake().Balance()["eur"].Kept())
	var state string
	require.NoError(t, h.db.QueryRowContext(t.Context(), `SELECT status FROM booking_platform.bookings`).Scan(&state))
	require.Equal(t, "cancelled", state)

	// On another database the rows cannot be counted: a warning, not a problem.
	other := maps.Clone(env)
	other["DATABASE_URL"] = testdb.URL(t)
	status, found, _ = examined(t, other, "--base", h.URL(), "--pay", "--resource", "studio")
	require.Equal(t, 0, status)
	require.Equal(t, map[doctor.Name]doctor.Level{doctor.PayOnce: doctor.Warning}, amiss(found))
}

// When no test payment is possible or allowed, nothing is booked.
func TestDoctorPay_Refused(t *testing.T) {
	t.Parallel()
	env := map[string]string{"DATABASE_URL": testdb.URL(t)}
	h := startHost(t, env)
	h.addResource(booking.Resource{Slug: "talk", Name: "Talk"})
	h.addResource(booking.Resource{Slug: "strict", Name: "Strict", Price: booking.Money{Minor: 100, Currency: "eur"},
		Policy: booking.Policy{Never: true}})
	plain := startHost(t, map[string]string{"STRIPE_SECRET_KEY": "sk_test_x", "STRIPE_WEBHOOK_SECRET": "whsec_12345678",
		"STRIPE_API_BASE": "http://127.0.0.1:1"})
	for name, c := range map[string]struct {
		host *running
		key  string
		args []string
		want doctor.Name
		says string
	}{
		"a live key":        {h, "sk_live_4eC39HqLyjWDarjtT1zdp7dc", nil, doctor.PayMode, "live"},
		"nothing says":      {plain, "", nil, doctor.PayMode, "no stand-in"},
		"several resources": {h, "", nil, doctor.PaySlot, "3 resources"},
		"a free one":        {h, "", []string{"--resource", "talk"}, doctor.PaySlot, "costs nothing"},
		"a strict one":      {h, "", []string{"--resource", "strict"}, doctor.PaySlot, "cannot be cancelled"},
		"an unknown one":    {h, "", []string{"--resource", "other"}, doctor.PaySlot, "no active resource"},
		"Stripe is down":    {plain, "sk_test_x", nil, doctor.PaySlot, "payment_unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, found, _ := examined(t, map[string]string{"STRIPE_SECRET_KEY": c.key},
				append([]string{"--base", c.host.URL(), "--pay"}, c.args...)...)
			require.Equal(t, 1, status)
			require.Equal(t, map[doctor.Name]doctor.Level{c.want: doctor.Problem}, amiss(found))
			require.Contains(t, found[c.want].Found, c.says)
			require.Zero(t, h.count("bookings"))
		})
	}
}

// realStripe starts a host with a Stripe stand-in that looks like the real one: the pay
// page is not below the host, and webhooks come from outside. With personPays, sessions
// are paid at once.
func realStripe(t *testing.T, environ map[string]string, live, personPays bool) *running {
	t.Helper()
	const testKey, secret = "sk_test_4eC39HqLyjWDarjtT1zdp7dc", "whsec_12345678"
	var hook atomic.Value
	hooks := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		httputil.NewSingleHostReverseProxy(hook.Load().(*url.URL)).ServeHTTP(w, r)
	}))
	t.Cleanup(hooks.Close)
	var standIn *stripetest.Server
	standIn, err := stripetest.New(stripetest.Options{
		SecretKey: testKey, WebhookURL: hooks.URL + "/webhook", WebhookSecret: secret,
		OnCreate: func(s stripetest.Session) {
			if personPays {
				_, _ = standIn.Pay(context.Background(), s.ID)
			}
		},
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	delivered := make(chan error, 1)
	go func() { delivered <- standIn.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-delivered })
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !live {
			standIn.ServeHTTP(w, r)
			return
		}
		r.Header.Set("Authorization", "Bearer "+testKey)
		r.URL.Path = strings.ReplaceAll(r.URL.Path, "cs_live_", "cs_test_")
		answer := httptest.NewRecorder()
		standIn.ServeHTTP(answer, r)
		w.WriteHeader(answer.Code)
		_, _ = w.Write([]byte(strings.ReplaceAll(answer.Body.String(), "cs_test_", "cs_live_")))
	}))
	t.Cleanup(api.Close)
	env := maps.Clone(environ)
	env["STRIPE_SECRET_KEY"], env["STRIPE_API_BASE"], env["STRIPE_WEBHOOK_SECRET"] = testKey, api.URL, secret
	if live {
		env["STRIPE_SECRET_KEY"] = strings.Replace(testKey, "test", "live", 1)
	}
	h := startHost(t, env)
	self, err := url.Parse(h.URL())
	require.NoError(t, err)
	hook.Store(self)
	return h
}

// At Stripe a person pays; when none does, the booking is cancelled.
func TestDoctorPay_PersonPaysOrNot(t *testing.T) {
	t.Parallel()
	for _, pays := range []bool{true, false} {
		t.Run(strconv.FormatBool(pays), func(t *testing.T) {
			t.Parallel()
			env := map[string]string{"DATABASE_URL": testdb.URL(t)}
			h := realStripe(t, env, false, pays)
			env["STRIPE_SECRET_KEY"], env["STRIPE_WEBHOOK_SECRET"] = "sk_test_4eC39HqLyjWDarjtT1zdp7dc",
				"whsec_12345678"
			wait := map[bool]string{true: "1m", false: "1s"}[pays]
			status, found, stderr := examined(t, env, "--base", h.URL(), "--pay", "--wait", wait)
			require.Contains(t, stderr, "4242 4242 4242 4242")
			require.Contains(t, stderr, "/pay/cs_test_")
			if pays {
				require.Equal(t, 0, status, stderr)
				require.Empty(t, amiss(found))
				require.Equal(t, "1 confirmed booking, 1 payment, 1 row of the ledger", found[doctor.PayOnce].Found)
				require.Contains(t, found, doctor.PayRefunded)
				return
			}
			require.Equal(t, 1, status)
			require.Equal(t, map[doctor.Name]doctor.Level{doctor.PayConfirmed: doctor.Problem}, amiss(found))
			require.Contains(t, found, doctor.PayCancelled)
		})
	}
}

// A host in live mode is recognised by its Checkout Session, which is never paid.
func TestDoctorPay_LiveMode(t *testing.T) {
	t.Parallel()
	h := realStripe(t, map[string]string{}, true, false)
	status, found, stderr := examined(t, map[string]string{"STRIPE_SECRET_KEY": "sk_test_4eC39HqLyjWDarjtT1zdp7dc"},
		"--base", h.URL(), "--pay", "--wait", "1s")
	require.Equal(t, 1, status)
	require.Equal(t, map[doctor.Name]doctor.Level{doctor.PayMode: doctor.Problem}, amiss(found))
	require.Contains(t, found[doctor.PayMode].Found, "live mode")
	require.Contains(t, found, doctor.PayCancelled)
	require.NotContains(t, stderr, "4242")
}
