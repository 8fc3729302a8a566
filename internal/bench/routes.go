package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/internal/hostprocess"
)

// addRoutesResources adds resources without bookings, with opening hours and an offer.
const addRoutesResources = `
WITH added AS (
    INSERT INTO booking_platform.resources (
        id, slug, name, description, time_zone, capacity, slot_seconds, step_seconds, horizon_seconds, hold_seconds,
        price_minor, currency
    )
    SELECT gen_random_uuid(), 'room-' || n, 'Room ' || n, repeat('A quiet room with a view. ', 4), 'Europe/Paris', 1,
           3600, 3600, 31536000, 2100, 2500, 'eur'
    FROM generate_series(1, $1::integer) AS n
    RETURNING id
), hours AS (
    INSERT INTO booking_platform.opening_hours (resource_id, weekday, opens_minute, closes_minute)
    SELECT a.id, d.d, 540, 1200 FROM added a, generate_series(0, 6) AS d(d)
)
INSERT INTO booking_platform.offers (
    resource_id, slug, name, position, slot_seconds, step_seconds, buffer_before_seconds, buffer_after_seconds,
    price_minor
)
SELECT a.id, 'long', 'Two hours', 0, 7200, 3600, 0, 0, 4500 FROM added a`

// addLedger adds processed events, as they come: by time, without payload.
const addLedger = `
INSERT INTO booking_platform.payment_events (
    receiver, stripe_event_id, type, api_version, object_id, stripe_session_id, stripe_payment_intent_id, payment_ref,
    outcome, created_at, received_at, processed_at
)
SELECT 'host', 'evt_' || md5(n::text),
       CASE n % 20 WHEN 0 THEN 'charge.refunded' ELSE 'checkout.session.completed' END,
       '2023-10-16', 'cs_test_' || md5(n::text) || md5((-n)::text), 'cs_test_' || md5(n::text) || md5((-n)::text),
       'pi_' || md5(n::text), gen_random_uuid()::text, 'processed', t.at, t.at, t.at
FROM generate_series($1::integer + 1, $2::integer) AS n,
     LATERAL (SELECT statement_timestamp() - ($3::integer - n) * interval '0.25 seconds' AS at) t`

// ledgerBatch is how many events one statement adds.
const ledgerBatch = 100_000

const (
	benchEmail    = "bench@example.com"
	benchPassword = "correct horse battery staple"
)

// route is a request that is measured.
type route struct {
	name, path string
	// staff is set if it needs a login; the goal is for the others.
	staff bool
	// tagged sends the ETag of the answer before.
	tagged bool
}

// routes: latency of one client over HTTP with 3,000 resources and a filled ledger.
func (b *bench) routes(ctx context.Context) (err error) {
	bookings, resources, events := number("BENCH_ROWS", 1_000_000), 3000, number("BENCH_LEDGER", 3_000_000)
	f, err := b.fill(ctx, "routes", bookings)
	if err != nil {
		return err
	}
	defer func() {
		_ = f.Close()
		err = errors.Join(err, b.server.drop(context.WithoutCancel(ctx), f.name))
	}()
	began := time.Now()
	more := max(1, resources-f.small-f.large)
	if _, err := f.ExecContext(ctx, addRoutesResources, more); err != nil {
		return err
	}
	for n := 0; n < events; n += ledgerBatch {
		if _, err := f.ExecContext(ctx, addLedger, n, min(n+ledgerBatch, events), events); err != nil {
			return err
		}
	}
	if _, err := f.ExecContext(ctx, `VACUUM ANALYZE`); err != nil {
		return err
	}
	var size string
	const sizeSQL = `SELECT pg_size_pretty(pg_database_size(current_database()))`
	if err := f.QueryRowContext(ctx, sizeSQL).Scan(&size); err != nil {
		return err
	}
	fmt.Printf("%d resources, %d bookings, %d events, %s: the rest filled in %s\n", f.small+f.large+more, f.bookings,
		events, size, time.Since(began).Round(time.Second))
	program, err := hostprocess.Build(ctx, b.dir)
	if err != nil {
		return err
	}
	h, err := b.startHost(ctx, program, b.server.url(f.name, false), "ADMIN_EMAIL="+benchEmail,
		"ADMIN_PASSWORD="+benchPassword)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Stop()) }()
	return measureRoutes(ctx, "http://"+h.Address, f)
}

func measureRoutes(ctx context.Context, base string, f *filled) error {
	day := f.midnight.AddDate(0, 0, 3).Format(time.DateOnly)
	week := "?from=" + day + "&to=" + f.midnight.AddDate(0, 0, 9).Format(time.DateOnly)
	cookie, err := logIn(ctx, base)
	if err != nil {
		return err
	}
	fmt.Print("\n| one client | bytes | median, ms | 95th percentile, ms | slowest, ms |\n" +
		"| --- | --- | --- | --- | --- |\n")
	for _, r := range []route{
		{name: "GET /", path: "/"},
		{name: "GET /?q=, a search", path: "/?q=room+27"},
		{name: "GET /?resource=, a week", path: "/?resource=s1&from=" + day},
		{name: "GET /api/resources, all", path: "/api/resources"},
		{name: "GET /api/resources, ETag", path: "/api/resources", tagged: true},
		{name: "GET /api/resources, a page", path: "/api/resources?limit=50"},
		{name: "GET /api/resources, a search", path: "/api/resources?q=room+27"},
		{name: "GET …/availability, a week, capacity 1", path: "/api/resources/s1/availability" + week},
		{name: "GET …/availability, a week, capacity 50", path: "/api/resources/l1/availability" + week},
		{name: "GET …/next", path: "/api/resources/room-7/next"},
		{name: "GET /health/db", path: "/health/db"},
		{name: "GET /login", path: "/login"},
		{name: "GET /api/bookings", path: "/api/bookings", staff: true},
		{name: "GET /api/bookings?total=true", path: "/api/bookings?total=true", staff: true},
		{name: "GET /payments", path: "/payments", staff: true},
		{name: "GET /payments?type=, rare", path: "/payments?type=charge.dispute.created", staff: true},
		{name: "GET /dashboard", path: "/dashboard", staff: true},
		{name: "GET /admin/metrics", path: "/admin/metrics", staff: true},
	} {
		if err := r.measure(ctx, base, cookie); err != nil {
			return err
		}
	}
	fmt.Println()
	return nil
}

// logIn returns the cookie of a session.
func logIn(ctx context.Context, base string) (string, error) {
	body := fmt.Sprintf(`{"email":%q,"password":%q}`, benchEmail, benchPassword)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/auth/login", strings.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("the login was answered %d", res.StatusCode)
	}
	var parts []string
	for _, c := range res.Cookies() {
		parts = append(parts, c.Name+"="+url.QueryEscape(c.Value))
	}
	return strings.Join(parts, "; "), nil
}

func (r route) measure(ctx context.Context, base, cookie string) error {
	tag, size := "", 0
	get := func(want int) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+r.path, nil)
		if err != nil {
			return err
		}
		if r.staff {
			req.Header.Set("Cookie", cookie)
		}
		if tag != "" {
			req.Header.Set("If-None-Match", tag)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		n, err := io.Copy(io.Discard, res.Body)
		size = int(n)
		if r.tagged {
			tag = res.Header.Get("ETag")
		}
		if err == nil && res.StatusCode != want {
			err = fmt.Errorf("%s was answered %d", r.path, res.StatusCode)
		}
		return err
	}
	// The first ones warm up pages, plans and the list.
	for range 10 {
		want := http.StatusOK
		if tag != "" {
			want = http.StatusNotModified
		}
		if err := get(want); err != nil {
			return err
		}
	}
	want := http.StatusOK
	if r.tagged {
		want = http.StatusNotModified
	}
	var took []float64
	for range calls {
		began := time.Now()
		if err := get(want); err != nil {
			return err
		}
		took = append(took, float64(time.Since(began).Microseconds())/1000)
	}
	slices.Sort(took)
	fmt.Printf("| %s | %d | %.2f | %.2f | %.2f |\n", r.name, size, took[len(took)/2], took[len(took)*95/100],
		took[len(took)-1])
	return nil
}
