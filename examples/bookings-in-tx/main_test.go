package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments/stripetest"
	"github.com/booking-platform/booking-platform/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const patience = 30 * time.Second

// fixture is the service on an empty database, with a Stripe of its own. Only background
// runs the queue.
type fixture struct {
	*service
	stripe *stripetest.Server
	sent   chan mail
	slot   time.Time // of tomorrow, free at the start
}

func start(t *testing.T) fixture {
	t.Helper()
	db, web, sent := pgtest.New(t), http.NewServeMux(), make(chan mail, 100)
	stripe := stripetest.Start(t, web)
	s, err := newService(t.Context(), db, "https://club.example",
		account{stripetest.SecretKey, stripetest.WebhookSecret, stripe.URL()},
		func(_ context.Context, m mail) error { sent <- m; return nil })
	require.NoError(t, err)
	web.Handle("/", s.routes())
	slots, err := s.bookings.Slots(t.Context(), trial.Slug, time.Now().Add(24*time.Hour), time.Now().Add(27*time.Hour), 1)
	require.NoError(t, err)
	return fixture{s, stripe, sent, slots[0].Start}
}

func (s fixture) request(t *testing.T, id, resource string) *httptest.ResponseRecorder {
	t.Helper()
	return s.send(t, url.Values{"id": {id}, "resource": {resource}, "start": {s.slot.Format(time.RFC3339)},
		"first": {"Ada"}, "last": {"Lovelace"}, "email": {"ada@example.com"}})
}

func (s fixture) send(t *testing.T, form url.Values) *httptest.ResponseRecorder {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/lessons", strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer := httptest.NewRecorder()
	s.routes().ServeHTTP(answer, req)
	return answer
}

// jobs returns the templates of the jobs about an id, oldest first.
func (s fixture) jobs(t *testing.T, id string) []string {
	t.Helper()
	rows, err := s.db.QueryContext(t.Context(),
		`SELECT args->>'template' FROM river_job WHERE args->>'id' = $1 ORDER BY id`, id)
	require.NoError(t, err)
	defer func() { _ = rows.Close() }()
	templates := []string{}
	for rows.Next() {
		var template string
		require.NoError(t, rows.Scan(&template))
		templates = append(templates, template)
	}
	require.NoError(t, rows.Err())
	return templates
}

// lesson returns two empty statuses if there is none.
func (s fixture) lesson(t *testing.T, id string) (status string, booked booking.Status) {
	t.Helper()
	_ = s.db.QueryRowContext(t.Context(), `SELECT status FROM club.lessons WHERE id = $1`, id).Scan(&status)
	page, err := s.bookings.List(t.Context(), booking.ListOptions{Reference: id})
	require.NoError(t, err)
	for _, b := range page.Bookings {
		booked = b.Status
	}
	return status, booked
}

// refuseCommits makes commits that wrote to a table fail, after the job was enqueued,
// until allowCommits.
func (s fixture) refuseCommits(t *testing.T, table string) {
	t.Helper()
	s.exec(t, `CREATE OR REPLACE FUNCTION club.refuse() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN RAISE EXCEPTION 'refused'; END $$;
		CREATE CONSTRAINT TRIGGER none AFTER INSERT OR UPDATE ON `+table+`
		DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION club.refuse()`)
}

func (s fixture) allowCommits(t *testing.T, table string) {
	t.Helper()
	s.exec(t, `DROP TRIGGER none ON `+table)
}

func (s fixture) exec(t *testing.T, statement string) {
	t.Helper()
	_, err := s.db.ExecContext(t.Context(), statement)
	require.NoError(t, err)
}

// A repeated form, also at the same time, is one booking, one lesson and one job.
func TestRequest_OneJobOnRepeats(t *testing.T) {
	t.Parallel()
	s := start(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if answer := s.request(t, "form-1", trial.Slug); answer.Code != http.StatusOK {
				t.Errorf("%d: %s", answer.Code, answer.Body)
			}
		})
	}
	all.Wait()
	require.Equal(t, []string{"confirmed"}, s.jobs(t, "form-1"))
	status, booked := s.lesson(t, "form-1")
	require.Equal(t, "confirmed", status)
	require.Equal(t, booking.StatusConfirmed, booked)

	// Another customer's form for the same hour is refused, and enqueues nothing.
	require.Equal(t, http.StatusConflict, s.request(t, "form-2", trial.Slug).Code)
	require.Empty(t, s.jobs(t, "form-2"))
}

// Whatever part fails, none of the three is there, and the slot is still free.
func TestRequest_RolledBackNoJob(t *testing.T) {
	t.Parallel()
	for part, c := range map[string]struct{ broken, mended func(fixture, *testing.T) }{
		"the commit": {func(s fixture, t *testing.T) { s.refuseCommits(t, "club.lessons") },
			func(s fixture, t *testing.T) { s.allowCommits(t, "club.lessons") }},
		"the job": {func(s fixture, t *testing.T) {
			s.exec(t, `ALTER TABLE river_job ADD CONSTRAINT none CHECK (false) NOT VALID`)
		}, func(s fixture, t *testing.T) { s.exec(t, `ALTER TABLE river_job DROP CONSTRAINT none`) }},
	} {
		t.Run(part, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			c.broken(s, t)
			require.Equal(t, http.StatusInternalServerError, s.request(t, "form-1", trial.Slug).Code)
			require.Empty(t, s.jobs(t, "form-1"))
			status, booked := s.lesson(t, "form-1")
			require.Empty(t, status)
			require.Empty(t, booked)

			c.mended(s, t)
			require.Equal(t, http.StatusOK, s.request(t, "form-1", trial.Slug).Code)
			require.Equal(t, []string{"confirmed"}, s.jobs(t, "form-1"))
		})
	}
}

// The first delivery that can commits the payment, the lesson's row and the job, once.
func TestTransition_OneJobWithThePayment(t *testing.T) {
	t.Parallel()
	s := start(t)
	require.Equal(t, http.StatusSeeOther, s.request(t, "form-1", lesson.Slug).Code)
	require.Equal(t, []string{"held"}, s.jobs(t, "form-1"))
	s.refuseCommits(t, "club.lessons")
	_, err := s.stripe.Pay(t.Context(), s.stripe.Sessions()[0].ID)
	require.NoError(t, err)
	event := s.stripe.Events()[0]
	require.Equal(t, http.StatusInternalServerError, event.LastStatus())
	status, booked := s.lesson(t, "form-1")
	require.Equal(t, "held", status)
	require.Equal(t, booking.StatusPending, booked)

	require.Equal(t, []string{"held"}, s.jobs(t, "form-1"))
	s.allowCommits(t, "club.lessons")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, s.stripe.WaitDelivered(ctx, event.ID))
	attempts, err := s.stripe.Resend(t.Context(), event.ID, 5)
	require.NoError(t, err)
	for _, a := range attempts {
		require.True(t, a.OK(), a)
	}
	require.Equal(t, []string{"held", "paid"}, s.jobs(t, "form-1"))
	status, booked = s.lesson(t, "form-1")
	require.Equal(t, "paid", status)
	require.Equal(t, booking.StatusConfirmed, booked)
}

// The warning, its job and the event's ledger row are committed together, once.
func TestWebhook_OneJobOnRepeats(t *testing.T) {
	t.Parallel()
	s := start(t)
	deliver := func() int {
		payload := fmt.Appendf(nil, `{"id":"evt_1","object":"event","type":"radar.early_fraud_warning.created",
			"data":{"object":{"id":"issfr_1","object":"radar.early_fraud_warning","charge":"ch_1"}}}`)
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/webhook", bytes.NewReader(payload))
		req.Header.Set("Stripe-Signature", stripetest.Sign(payload, stripetest.WebhookSecret, time.Now()))
		answer := httptest.NewRecorder()
		s.routes().ServeHTTP(answer, req)
		return answer.Code
	}
	s.refuseCommits(t, "club.warnings")
	require.Equal(t, http.StatusInternalServerError, deliver())
	require.Empty(t, s.jobs(t, "issfr_1"))
	var warnings int
	require.NoError(t, s.db.QueryRowContext(t.Context(), `SELECT count(*) FROM club.warnings`).Scan(&warnings))
	require.Zero(t, warnings)

	s.allowCommits(t, "club.warnings")
	for range 5 {
		require.Equal(t, http.StatusOK, deliver())
	}
	require.Equal(t, []string{"review"}, s.jobs(t, "issfr_1"))
}

// The queue works the jobs of committed transactions.
func TestQueue_SendsTheMails(t *testing.T) {
	t.Parallel()
	s := start(t)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.background(ctx) }()
	require.Equal(t, http.StatusOK, s.request(t, "form-1", trial.Slug).Code)
	select {
	case m := <-s.sent:
		require.Equal(t, mail{About: "lesson", ID: "form-1", Template: "confirmed"}, m)
	case <-time.After(patience):
		t.Error("no mail was sent")
	}
	stop()
	require.NoError(t, <-done)
	require.Empty(t, s.sent)
}
