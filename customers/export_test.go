package customers_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/customers"
	"github.com/booking-platform/booking-platform/payments"
)

type exported struct {
	Email string
	User  *struct {
		Email    string
		Sessions []map[string]string
	}
	Bookings []struct {
		ID, Status, FirstName, Email, Start string
		Resource                            struct{ Slug, TimeZone string }
		Amount                              struct {
			Minor             int64
			Currency, Decimal string
		}
		History  []struct{ By, To, Reason string }
		Payments []struct {
			ID, Status string
			Parameters map[string]any
			Refunds    []struct{ Cause, Status string }
			Disputes   []struct{ Status string }
		}
	}
	Events []struct {
		ID      string
		Payload json.RawMessage
	}
}

func (w *world) export(email string) (doc exported, text string) {
	w.t.Helper()
	var out bytes.Buffer
	require.NoError(w.t, w.people.Export(w.t.Context(), &out, email))
	require.NoError(w.t, json.Unmarshal(out.Bytes(), &doc))
	return doc, out.String()
}

func TestExport_Everything(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := w.live(augusta)
	w.events(augusta, l, "1")
	w.login(augusta)
	b, _ := w.paid(others[0])

	doc, text := w.export(strings.ToLower(augusta.Email))
	require.Len(t, doc.Bookings, len(l.bookings))
	statuses, of := map[string]int{}, map[string]int{}
	for _, b := range doc.Bookings {
		require.Equal(t, augusta.Email, b.Email)
		require.Equal(t, "Europe/Paris", b.Resource.TimeZone)
		require.Equal(t, "25.00 eur", b.Amount.Decimal+" "+b.Amount.Currency)
		require.Regexp(t, `\+0[12]:00$`, b.Start)
		require.NotEmpty(t, b.History)
		statuses[b.Status]++
		for _, p := range b.Payments {
			of[p.Status] += 1 + len(p.Refunds) + len(p.Disputes)
			require.Equal(t, augusta.Email, p.Parameters["email"])
		}
	}
	require.Equal(t,
		map[string]int{"completed": 1, "no_show": 1, "confirmed": 4, "cancelled": 3, "expired": 2}, statuses)
	require.Equal(t, map[string]int{"paid": 5, "refunded": 2, "expired": 1, "failed": 2, "dispute_lost": 2,
		"partially_refunded": 3}, of)
	require.Len(t, doc.Events, 3)
	require.Equal(t, strings.ToLower(augusta.Email), doc.User.Email)
	require.Len(t, doc.User.Sessions, 1)
	for _, secret := range []string{"staff@example.com", "argon2", "token", "idempotency", others[0].LastName, b.ID} {
		require.NotContains(t, strings.ToLower(text), strings.ToLower(secret))
	}

	_, err := w.users.Disable(t.Context(), augusta.Email)
	require.NoError(t, err)
	_, err = w.people.Erase(t.Context(), augusta.Email, customers.EraseOptions{})
	require.NoError(t, err)
	var out bytes.Buffer
	require.ErrorIs(t, w.people.Export(t.Context(), &out, augusta.Email), customers.ErrUnknown)
	require.Zero(t, out.Len())
}

type failing struct{}

var errFull = errors.New("the disk is full")

func (failing) Write([]byte) (int, error) { return 0, errFull }

func TestExport_WriterFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hold(augusta)
	require.ErrorIs(t, w.people.Export(t.Context(), failing{}, augusta.Email), errFull)
}

// A program that embeds bookings alone.
func TestCustomers_BookingsAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	people, err := customers.New(customers.Parts{Bookings: w.bookings}, customers.Options{})
	require.NoError(t, err)
	b := w.hold(augusta)
	email, err := people.Email(t.Context(), b.ID)
	require.NoError(t, err)
	require.Equal(t, augusta.Email, email)
	var out bytes.Buffer
	require.NoError(t, people.Export(t.Context(), &out, augusta.Email))
	_, err = w.bookings.Release(t.Context(), b.ID)
	require.NoError(t, err)
	report, err := people.Erase(t.Context(), augusta.Email, customers.EraseOptions{})
	require.NoError(t, err)
	require.Equal(t, 1, report.Bookings)
	_, err = people.Email(t.Context(), b.ID)
	require.ErrorIs(t, err, customers.ErrUnknown)
	_, err = people.Email(t.Context(), "none")
	require.ErrorIs(t, err, booking.ErrNotFound)
}

// Payments that are not settled keep their customer; an event that is being stored is
// waited for.
func TestErasePast_SettledPayments(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old, oldPay := w.paid(augusta)
	disputed, disputedPay := w.paid(augusta)
	w.past(old.ID, disputed.ID)
	_, recentPay := w.paid(augusta)
	d, err := w.stripe.Dispute(disputedPay.SessionID)
	require.NoError(t, err)
	w.settle()
	erased := func(c payments.Checkout) bool {
		pay, err := w.payments.Get(t.Context(), c.PaymentID)
		require.NoError(t, err)
		return string(pay.Parameters()) == `{"erased":true}` && pay.URL == ""
	}
	off, err := w.payments.ErasePast(t.Context())
	require.NoError(t, err)
	require.Zero(t, off, "off by default")

	replica, err := payments.New(w.db, w.bookings, secretKey, "https://booking.example",
		payments.Options{PersonalDataFor: 100 * 24 * time.Hour})
	require.NoError(t, err)
	kept, err := replica.UnsettledBookings(t.Context(), []string{old.ID, disputed.ID})
	require.NoError(t, err)
	require.Equal(t, []string{disputed.ID}, kept)
	for _, want := range []int{1, 0, 0} {
		n, err := replica.ErasePast(t.Context())
		require.NoError(t, err)
		require.Equal(t, want, n)
	}
	require.True(t, erased(oldPay))
	require.False(t, erased(disputedPay))
	_, err = w.stripe.CloseDispute(d.ID, true)
	require.NoError(t, err)
	w.settle()
	n, err := replica.ErasePast(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.True(t, erased(disputedPay))
	require.False(t, erased(recentPay))
	_, err = payments.New(w.db, w.bookings, secretKey, "https://booking.example", payments.Options{PersonalDataFor: -1})
	require.Error(t, err)
}
