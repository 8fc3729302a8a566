package bookingmail_test

import (
	"context"
	"database/sql"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/notify"
	"github.com/booking-platform/booking-platform/notify/bookingmail"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
	"github.com/booking-platform/booking-platform/webhook"
)

func TestMain(m *testing.M) {
	testdb.Parallel()
	testdb.Main(m)
}

var ann = booking.Customer{FirstName: "Ann", LastName: "Lee", Email: "ann@example.com", Phone: "+33 1 23 45 67 89"}

// world is bookings, payments and the outbox, with a sender that keeps mails.
type world struct {
	t        *testing.T
	db       *sql.DB
	bookings *booking.Store
	payments *payments.Payments
	stripe   *stripetest.Server
	outbox   *notify.Store
	resource booking.Resource
	nth      int
	language string

	mu    sync.Mutex
	mails []notify.Mail
}

func (w *world) Send(_ context.Context, m notify.Mail) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mails = append(w.mails, m)
	return nil
}

func newWorld(t *testing.T, change ...func(*bookingmail.Options)) *world {
	t.Helper()
	w := &world{t: t, db: testdb.New(t)}
	var err error
	w.bookings, err = booking.New(w.db, booking.Options{OwnerSecrets: []string{strings.Repeat("s", 32)}})
	require.NoError(t, err)
	mux := http.NewServeMux()
	w.stripe = stripetest.Start(t, mux)
	w.payments, err = payments.New(w.db, w.bookings, stripetest.SecretKey, "https://booking.example",
		payments.Options{BaseURL: w.stripe.URL()})
	require.NoError(t, err)
	receiver, err := webhook.New(w.db, []string{stripetest.WebhookSecret}, webhook.Options{})
	require.NoError(t, err)
	w.payments.Register(receiver)
	mux.Handle("/webhook", receiver)
	opts := bookingmail.Options{Bookings: w.bookings, Payments: w.payments, BookingURL: w.payments.BookingURL,
		Domain: "booking.example", From: "studio@booking.example", FromName: "Studio",
		Owners: []string{"owner@booking.example"}}
	for _, c := range change {
		c(&opts)
	}
	mailer, err := bookingmail.New(opts)
	require.NoError(t, err)
	w.outbox, err = notify.New(w.db, notify.Options{Domain: "booking.example", Sender: w, Kinds: mailer.Kinds()})
	require.NoError(t, err)
	w.resource, err = w.bookings.CreateResource(t.Context(), booking.Resource{
		Slug: "massage", Name: "Massage", TimeZone: "Europe/Paris", Capacity: 3, SlotLength: time.Hour,
		Price:  booking.Money{Minor: 2500, Currency: "eur"},
		Policy: booking.Policy{FreeUntil: 24 * time.Hour, FeePercent: 50},
	})
	require.NoError(t, err)
	return w
}

// hold holds an hour of a day three weeks ahead.
func (w *world) hold(c booking.Customer) booking.Booking {
	w.t.Helper()
	w.nth++
	start := time.Now().UTC().Truncate(24 * time.Hour).Add(time.Duration(21*24+w.nth) * time.Hour)
	b, err := w.bookings.Hold(w.t.Context(), booking.HoldRequest{Resource: w.resource.ID, Start: start, Customer: c,
		Language: w.language})
	require.NoError(w.t, err)
	return b
}

// paid holds and pays.
func (w *world) paid(c booking.Customer) (booking.Booking, payments.Checkout) {
	w.t.Helper()
	b := w.hold(c)
	checkout, err := w.payments.Checkout(w.t.Context(), b.ID)
	require.NoError(w.t, err)
	_, err = w.stripe.Pay(w.t.Context(), checkout.SessionID)
	require.NoError(w.t, err)
	w.delivered()
	return b, checkout
}

func (w *world) move(b booking.Booking, by time.Duration) (booking.Rescheduled, error) {
	return w.bookings.Reschedule(w.t.Context(), booking.RescheduleRequest{ID: b.ID, Start: b.Start.Add(by)})
}

func (w *world) delivered() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	require.NoError(w.t, w.stripe.WaitDelivered(ctx))
}

// send sends what is due and returns the mails since the last call.
func (w *world) send() []notify.Mail {
	w.t.Helper()
	_, err := w.outbox.Send(w.t.Context())
	require.NoError(w.t, err)
	w.mu.Lock()
	defer w.mu.Unlock()
	mails := w.mails
	w.mails = nil
	return mails
}

// one returns the only mail to an address.
func (w *world) one(mails []notify.Mail, to string) notify.Mail {
	w.t.Helper()
	var found []notify.Mail
	for _, m := range mails {
		require.NoError(w.t, m.Check())
		if m.To == to {
			found = append(found, m)
		}
	}
	require.Len(w.t, found, 1, "mails to %s", to)
	return found[0]
}

func (w *world) exec(query string, args ...any) {
	w.t.Helper()
	_, err := w.db.ExecContext(w.t.Context(), query, args...)
	require.NoError(w.t, err)
}

// states returns the states and reasons of the messages of a kind about a booking.
func (w *world) states(id, kind string) (all []string) {
	w.t.Helper()
	messages, err := w.outbox.List(w.t.Context(), notify.ListOptions{Reference: id, Kind: kind})
	require.NoError(w.t, err)
	for _, m := range messages {
		all = append(all, strings.TrimSpace(string(m.State)+" "+m.Reason))
	}
	return all
}
