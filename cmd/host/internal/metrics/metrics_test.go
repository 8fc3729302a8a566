package metrics_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/cmd/host/internal/metrics"
	"github.com/booking-platform/booking-platform/notify"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/webhook"
)

type noDatabase struct{}

func (noDatabase) Connect(context.Context) (driver.Conn, error) {
	return nil, errors.New("no database")
}
func (noDatabase) Driver() driver.Driver { return nil }

// fixture returns metrics whose readings of the database call read.
func fixture(read func(context.Context) error) (*metrics.Metrics, func()) {
	db := sql.OpenDB(noDatabase{})
	m := metrics.New(metrics.Options{
		Version: "v1", DB: db, Webhook: func() webhook.Stats { return webhook.Stats{Secrets: []int64{3}} },
		Steps: []string{"one"}, Results: []string{"held"}, Maintenance: func() bool { return true },
		Sources: metrics.Sources{
			Ready: func(context.Context) error { return nil },
			Webhook: func(ctx context.Context) (webhook.Backlog, error) {
				return webhook.Backlog{Failed: 7},
					read(ctx)
			},
			Bookings: func(context.Context) (booking.Backlog, error) { return booking.Backlog{Open: 5}, nil },
			Payments: func(context.Context) (payments.Backlog, error) {
				return payments.Backlog{Parked: payments.BacklogCount{Count: 2, Age: 90 * time.Second}}, nil
			},
			Messages: func(context.Context) (notify.Counts, error) {
				return notify.Counts{Due: 3, Oldest: time.Minute, Refused: 1}, nil
			},
		},
	})
	return m, func() { _ = db.Close() }
}

func scrape(m *metrics.Metrics) string {
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return w.Body.String()
}

func TestScrape_SharesReading(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var readings, atOnce atomic.Int64
		m, end := fixture(func(context.Context) error {
			require.EqualValues(t, 1, atOnce.Add(1))
			time.Sleep(time.Second)
			atOnce.Add(-1)
			readings.Add(1)
			return nil
		})
		defer end()
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				text := scrape(m)
				for _, want := range []string{
					"\nbooking_database_up 1\n", `booking_webhook_events_waiting{outcome="failed"} 7`,
					"\nbooking_holds_open 5\n",
					`booking_payments_waiting{state="parked"} 2`,
					`booking_payments_oldest_waiting_seconds{state="parked"} 90`, "\nbooking_ready 1\n",
				} {
					require.Contains(t, text, want)
				}
			})
		}
		all.Wait()
		require.EqualValues(t, 1, readings.Load())
		for range 40 {
			scrape(m)
			time.Sleep(100 * time.Millisecond)
		}
		require.EqualValues(t, 1, readings.Load(), "it is kept")
		time.Sleep(2 * time.Second)
		scrape(m)
		require.EqualValues(t, 2, readings.Load(), "and not for long")
	})
}

// The reading ignores its context; each scrape takes two seconds and has the counters of
// the process.
func TestScrape_DatabaseHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var readings atomic.Int64
		release := make(chan struct{})
		m, end := fixture(func(context.Context) error {
			readings.Add(1)
			<-release
			return nil
		})
		defer end()
		for range 5 {
			began := time.Now()
			text := scrape(m)
			require.Equal(t, 2*time.Second, time.Since(began))
			require.Contains(t, text, "\nbooking_database_up 0\n")
			require.NotContains(t, text, "booking_payments_waiting")
			require.Contains(t, text, `booking_webhook_signatures_total{secret="1"} 3`)
		}
		require.EqualValues(t, 1, readings.Load())
		close(release)
		synctest.Wait()
		require.Contains(t, scrape(m), "\nbooking_database_up 1\n")
	})
}

// Errors and panics are counted and retried.
func TestScrape_DatabaseFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var readings atomic.Int64
		m, end := fixture(func(context.Context) error {
			switch readings.Add(1) {
			case 1:
				return errors.New("no luck")
			case 2:
				panic("a mistake")
			}
			return nil
		})
		defer end()
		for range 2 {
			text := scrape(m)
			require.Contains(t, text, "\nbooking_database_up 0\n")
			require.NotContains(t, text, "booking_payments_waiting")
			time.Sleep(6 * time.Second)
		}
		text := scrape(m)
		require.Contains(t, text, "\nbooking_database_up 1\n")
		require.Contains(t, text, "\nbooking_database_read_failures_total 2\n")
	})
}

func TestRequest_BoundedLabels(t *testing.T) {
	t.Parallel()
	m, end := fixture(func(context.Context) error { return nil })
	defer end()
	for _, method := range []string{"BREW", "get", "", "PROPFIND", strings.Repeat("X", 1000)} {
		m.Request("", method, 404, time.Second)
	}
	for _, status := range []int{0, -1, 99, 600, 12345} {
		m.Request("/api/bookings", "POST", status, time.Second)
	}
	text := scrape(m)
	require.Contains(t, text, `booking_http_request_duration_seconds_count{method="other",route="none",status="4xx"} 5`)
	require.Contains(t, text,
		`booking_http_request_duration_seconds_count{method="POST",route="/api/bookings",status="cut"} 5`)
	require.Equal(t, 2, strings.Count(text, "booking_http_request_duration_seconds_count{"))
}

func TestStep_CountsRuns(t *testing.T) {
	t.Parallel()
	m, end := fixture(func(context.Context) error { return nil })
	defer end()
	require.Contains(t, scrape(m), `booking_step_last_success_timestamp_seconds{step="one"} 0`)
	m.Step("one", time.Second, 2, errors.New("the third thing failed"))
	text := scrape(m)
	require.Contains(t, text, `booking_step_last_success_timestamp_seconds{step="one"} 0`, "a failure is no success")
	m.Step("one", time.Second, 3, nil)
	text = scrape(m)
	for _, want := range []string{
		`booking_step_runs_total{result="done",step="one"} 1`, `booking_step_runs_total{result="failed",step="one"} 1`,
		`booking_step_items_total{step="one"} 5`, `booking_step_duration_seconds_count{step="one"} 2`,
	} {
		require.Contains(t, text, want)
	}
	require.NotContains(t, text, `booking_step_last_success_timestamp_seconds{step="one"} 0`)
}

func TestServer_CloseWaitsForScrapes(t *testing.T) {
	t.Parallel()
	reading, release := make(chan struct{}), make(chan struct{})
	m, end := fixture(func(context.Context) error {
		close(reading)
		<-release
		return nil
	})
	defer end()
	s, err := metrics.Listen("127.0.0.1:0")
	require.NoError(t, err)
	s.Serve(m)
	client := &http.Client{Timeout: time.Minute}
	for _, path := range []string{"", "/debug/vars"} {
		res, err := client.Get(strings.TrimSuffix(s.URL(), "/metrics") + path)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusNotFound, res.StatusCode)
	}
	type answer struct {
		text string
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		res, err := client.Get(s.URL())
		if err != nil {
			answered <- answer{err: err}
			return
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		answered <- answer{string(text), err}
	}()
	<-reading
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	close(release)
	a := <-answered
	require.NoError(t, a.err)
	require.Contains(t, a.text, "booking_build_info")
	require.NoError(t, <-closed)
	address := strings.TrimSuffix(strings.TrimPrefix(s.URL(), "http://"), "/metrics")
	again, err := metrics.Listen(address)
	require.NoError(t, err)
	require.NoError(t, again.Close(), "one that never served")
}
