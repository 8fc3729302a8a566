package main_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	host "github.com/booking-platform/booking-platform/cmd/host"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// O2: the switch pauses selling on every host, and what was refused is done afterwards.
func TestMaintenance_TwoHosts(t *testing.T) {
	t.Parallel()
	url := testdb.URL(t)
	env := map[string]string{"DATABASE_URL": url, "METRICS_ADDR": "127.0.0.1:0"}
	one, two := startHost(t, env), startHost(t, env)
	ada, bob, admin := one.client(), two.client(), one.admin()
	held, free := ada.booked(0), ada.slot(1)
	payment := ""
	require.NoError(t, one.db.QueryRow(`SELECT id::text FROM booking_platform.payments`).Scan(&payment))

	status, out, stderr := command(t, env, "maintenance", "on", "--reason", "a drill")
	require.Equal(t, 0, status, stderr)
	require.Regexp(t, `^maintenance: on since \S+Z: a drill\n$`, out)
	for _, c := range []*client{ada, bob} {
		eventually(t, "a host follows", func() bool { return c.get("/").status == http.StatusServiceUnavailable })
	}
	// The customer pays on Stripe's page, and Stripe tries until its event is taken.
	paid := make(chan error, 1)
	go func() {
		_, err := one.StripeFake().Pay(t.Context(), held.StripeSessionID)
		paid <- err
	}()
	eventually(t, "the event is refused", func() bool {
		return strings.Contains(one.log.String(), `"route":"/webhook","status":503`)
	})
	for _, c := range []*client{ada, bob} {
		for _, path := range []string{"/", "/success?booking=" + held.ID + "&token=" + held.Token, "/cancel"} {
			a := c.get(path)
			require.Equal(t, http.StatusServiceUnavailable, a.status, path)
			require.Contains(t, a.body, "What you have booked and paid for is safe", path)
			require.NotEmpty(t, a.header.Get("Retry-After"))
		}
		a := c.do(http.MethodPost, "/book", "application/x-www-form-urlencoded", strings.NewReader("start="+free))
		require.Equal(t, http.StatusServiceUnavailable, a.status)
		require.Contains(t, a.body, "<html")
		for _, path := range []string{"/api/bookings", "/create-checkout-session",
			"/api/bookings/" + held.ID + "/cancel", "/api/bookings/" + held.ID + "/reschedule"} {
			a := c.post(path, wish(free, nil), "Authorization", "Bearer "+held.Token)
			require.Equal(t, http.StatusServiceUnavailable, a.status, path)
			code, _ := a.code(t)
			require.Equal(t, "maintenance", code)
			require.Equal(t, "60", a.header.Get("Retry-After"))
		}
		require.Equal(t, http.StatusServiceUnavailable, c.get("/api/resources/studio/availability").status)
		for _, path := range []string{"/health", "/health/db", "/login", "/api/resources"} {
			require.Equal(t, http.StatusOK, c.get(path).status, path)
		}
		c.scrape().require(t, 1, "booking_maintenance")
	}
	require.Equal(t, http.StatusOK, admin.get("/dashboard").status)
	require.Equal(t, http.StatusOK, one.admin().get("/api/bookings").status, "staff log in, and read")
	require.Equal(t, http.StatusServiceUnavailable, admin.post("/api/resources/studio/feeds", m{}).status)
	require.NotContains(t, one.log.String(), `"level":"ERROR"`)

	// A host that starts obeys too.
	three := startHost(t, env)
	require.Equal(t, http.StatusServiceUnavailable, three.client().get("/").status)
	require.Equal(t, 1, one.count("bookings"))

	status, out, _ = command(t, env, "maintenance", "off")
	require.Equal(t, 0, status)
	require.Equal(t, "maintenance: off\n", out)
	require.NoError(t, <-paid)
	eventually(t, "the payment is applied", func() bool {
		var v shown
		ada.get("/api/bookings/"+held.ID, "Authorization", "Bearer "+held.Token).into(t, &v)
		return v.Status == "confirmed"
	})
	eventually(t, "sold again", func() bool { return bob.get("/").status == http.StatusOK })
	require.Equal(t, http.StatusCreated,
		bob.post("/api/bookings", wish(free, m{"email": "bob@example.com"})).status)
	bob.scrape().require(t, 0, "booking_maintenance")
}

// Background steps end before the pause is complete, begin again after it, and end with
// the host in either state.
func TestMaintenance_PausesSteps(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	update, whileOff := host.Paused(db)
	turn := func(statement string) {
		t.Helper()
		_, err := db.ExecContext(t.Context(), statement)
		require.NoError(t, err)
		require.NoError(t, update(t.Context()))
	}
	ctx, cancel := context.WithCancel(t.Context())
	began, ended, all := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(all)
		whileOff(ctx, func(ctx context.Context) {
			began <- struct{}{}
			<-ctx.Done()
			ended <- struct{}{}
		})
	}()
	const on, off = `INSERT INTO booking_platform.maintenance DEFAULT VALUES`, `DELETE FROM booking_platform.maintenance`
	for range 2 {
		<-began
		turn(on)
		<-ended
		select {
		case <-began:
			t.Fatal("steps run during maintenance")
		default:
		}
		turn(off)
	}
	<-began
	cancel()
	<-ended
	<-all
}

func TestMaintenance_CommandTwice(t *testing.T) {
	t.Parallel()
	env := map[string]string{"DATABASE_URL": testdb.URL(t)}
	for _, c := range []struct{ args, want string }{
		{"status", `^maintenance: off\n$`},
		{"on --reason first", `: first\n$`}, {"on", `: first\n$`}, {"on --reason second", `: second\n$`},
		{"status --json", `^\{"on":true,"since":"[^"]+Z","reason":"second"\}\n$`},
		{"off", `: off\n$`}, {"off", `: off\n$`}, {"status --json", `^\{"on":false\}\n$`},
	} {
		status, out, stderr := command(t, env, append([]string{"maintenance"}, strings.Fields(c.args)...)...)
		require.Equal(t, 0, status, stderr)
		require.Regexp(t, c.want, out, c.args)
	}
}
