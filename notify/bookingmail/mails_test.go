package bookingmail_test

import (
	"bytes"
	"context"
	"database/sql"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-ical"
	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/notify"
	"github.com/booking-platform/booking-platform/notify/bookingmail"
	"github.com/booking-platform/booking-platform/payments"
)

const owner = "owner@booking.example"

// linkOf returns the owner token of the link in a mail.
func linkOf(t *testing.T, m notify.Mail) (id, token string) {
	t.Helper()
	_, rest, found := strings.Cut(m.Text, "https://booking.example/")
	require.True(t, found, m.Text)
	u, err := url.Parse("https://booking.example/" + strings.Fields(rest)[0])
	require.NoError(t, err)
	return u.Query().Get("booking"), u.Query().Get("token")
}

func eventOf(t *testing.T, m notify.Mail) (ical.Event, string) {
	t.Helper()
	cal, err := ical.NewDecoder(bytes.NewReader(m.Calendar)).Decode()
	require.NoError(t, err)
	require.Equal(t, m.CalendarMethod, cal.Props.Get("METHOD").Value)
	require.Len(t, m.Attachments, 1)
	require.Equal(t, m.Calendar, m.Attachments[0].Content)
	return cal.Events()[0], m.CalendarMethod
}

func TestMails_PaidMovedCancelledRefunded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.hold(ann)
	require.Empty(t, w.send(), "a hold tells nothing")
	checkout, err := w.payments.Checkout(t.Context(), b.ID)
	require.NoError(t, err)
	_, err = w.stripe.Pay(t.Context(), checkout.SessionID)
	require.NoError(t, err)
	w.delivered()

	mails := w.send()
	require.Len(t, mails, 2)
	m := w.one(mails, ann.Email)
	require.Contains(t, m.Subject, "Your booking is confirmed: Massage")
	require.Equal(t, "Ann Lee", m.ToName)
	require.Equal(t, owner, m.ReplyTo)
	for _, body := range []string{m.Text, m.HTML} {
		for _, want := range []string{"Hello Ann,", "EUR 25.00", "free of charge until",
			"EUR 12.50 of EUR 25.00 is kept", "Europe/Paris", b.Number, "Studio"} {
			require.Contains(t, body, want)
		}
	}
	require.NotContains(t, m.HTML, "<img")
	require.NotContains(t, m.HTML, "<script")
	id, token := linkOf(t, m)
	require.Equal(t, b.ID, id)
	_, err = w.bookings.Owned(t.Context(), id, token)
	require.NoError(t, err, "the link works")
	event, method := eventOf(t, m)
	require.Equal(t, "REQUEST", method)
	require.Equal(t, b.ID+"@booking.example", event.Props.Get("UID").Value)
	o := w.one(mails, owner)
	require.Contains(t, o.Subject, "New booking")
	require.Equal(t, ann.Email, o.ReplyTo)
	require.Contains(t, o.Text, "Ann Lee <ann@example.com>")
	require.Contains(t, o.Text, ann.Phone)
	require.NotContains(t, o.Text, "https://", "the customer's link is the customer's")

	moved, err := w.move(b, 48*time.Hour)
	require.NoError(t, err)
	mails = w.send()
	require.Len(t, mails, 2)
	m = w.one(mails, ann.Email)
	require.Contains(t, m.Text, "Before: ")
	event, method = eventOf(t, m)
	require.Equal(t, "REQUEST", method)
	require.Equal(t, "1", event.Props.Get("SEQUENCE").Value)
	start, err := event.DateTimeStart(time.UTC)
	require.NoError(t, err)
	require.True(t, moved.Start.Equal(start))

	_, err = w.payments.Cancel(t.Context(), booking.CancelRequest{ID: b.ID, ByCustomer: true})
	require.NoError(t, err)
	mails = w.send()
	require.Len(t, mails, 2)
	m = w.one(mails, ann.Email)
	require.Contains(t, m.Text, "EUR 25.00 goes back")
	require.Contains(t, m.Text, "working days")
	event, method = eventOf(t, m)
	require.Equal(t, "CANCEL", method)
	require.Equal(t, "2", event.Props.Get("SEQUENCE").Value)

	_, err = w.payments.SettleRefunds(t.Context())
	require.NoError(t, err)
	w.delivered()
	mails = w.send()
	require.Len(t, mails, 2)
	require.Contains(t, w.one(mails, ann.Email).Subject, "Your refund")
	require.Contains(t, w.one(mails, ann.Email).Text, "We have refunded EUR ")
	require.Empty(t, w.send())
	w.invariants()
}

// A confirmation that waited while the booking was moved says the new time, and the move
// is told too; one of a booking that is cancelled by now is dropped.
func TestMails_WhatWaitedIsTrueWhenItIsSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b, _ := w.paid(ann)
	first, err := w.move(b, 24*time.Hour)
	require.NoError(t, err)
	_, err = w.move(first.Booking, 24*time.Hour)
	require.NoError(t, err)
	mails := w.send()
	require.Len(t, mails, 4)
	for _, m := range mails {
		if m.CalendarMethod != "" {
			event, _ := eventOf(t, m)
			require.Equal(t, "2", event.Props.Get("SEQUENCE").Value)
		}
	}
	require.ElementsMatch(t, []string{"dropped moved_again", "sent"}, w.states(b.ID, "customer.moved"))

	c, _ := w.paid(ann)
	_, err = w.payments.Cancel(t.Context(), booking.CancelRequest{ID: c.ID})
	require.NoError(t, err)
	require.Len(t, w.send(), 2)
	require.Equal(t, []string{"dropped now_cancelled"}, w.states(c.ID, "customer.confirmed"))
	require.Equal(t, []string{"sent"}, w.states(c.ID, "customer.cancelled"))
	w.invariants()
}

func TestMails_Reminder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stays, _ := w.paid(ann)
	moves, _ := w.paid(ann)
	cancelled, _ := w.paid(ann)
	w.send()
	_, err := w.move(moves, 72*time.Hour)
	require.NoError(t, err)
	_, err = w.payments.Cancel(t.Context(), booking.CancelRequest{ID: cancelled.ID})
	require.NoError(t, err)
	w.send()
	all, err := w.outbox.List(t.Context(), notify.ListOptions{Reference: stays.ID, Kind: "customer.reminder"})
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.True(t, all[0].DueAt.Equal(stays.Start.Add(-bookingmail.DefaultReminder)))
	require.Len(t, w.states(moves.ID, "customer.reminder"), 2)

	w.exec(`UPDATE booking_platform.messages SET next_attempt_at = statement_timestamp() WHERE state = 'due'`)
	mails := w.send()
	require.Len(t, mails, 2)
	for _, m := range mails {
		require.Contains(t, m.Subject, "Reminder: Massage")
		require.Nil(t, m.Calendar)
	}
	require.ElementsMatch(t, []string{"dropped moved", "sent"}, w.states(moves.ID, "customer.reminder"))
	require.Equal(t, []string{"dropped now_cancelled"}, w.states(cancelled.ID, "customer.reminder"))
}

func TestMails_NoReminderWithinItsTime(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]time.Duration{"never": 0, "too late": 365 * 24 * time.Hour} {
		w := newWorld(t, func(o *bookingmail.Options) {
			o.Reminder = func(booking.Resource) time.Duration { return before }
		})
		b, _ := w.paid(ann)
		w.send()
		require.Empty(t, w.states(b.ID, "customer.reminder"), name)
	}
}

// Money that came too late goes back, and one that differs is checked.
func TestMails_LateAndParkedMoney(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	late := w.hold(ann)
	checkout, err := w.payments.Checkout(t.Context(), late.ID)
	require.NoError(t, err)
	_, err = w.payments.Cancel(t.Context(), booking.CancelRequest{ID: late.ID})
	require.NoError(t, err)
	require.Empty(t, w.send(), "a hold that is given up tells nothing")
	_, err = w.stripe.Pay(t.Context(), checkout.SessionID)
	require.NoError(t, err)
	w.delivered()
	mails := w.send()
	require.Len(t, mails, 2)
	m := w.one(mails, ann.Email)
	require.Contains(t, m.Subject, "Your payment goes back")
	require.Contains(t, m.Text, "EUR 25.00 goes back")
	require.Contains(t, m.Text, "had been cancelled")

	b, paid := w.paid(ann)
	w.send()
	w.exec(`UPDATE booking_platform.payments SET parked = true, parked_reason = 'amount_differs' WHERE id = $1::uuid`,
		paid.PaymentID)
	mails = w.send()
	require.Contains(t, w.one(mails, ann.Email).Text, "You need not pay again")
	require.Contains(t, w.one(mails, owner).Subject, "needs a decision")
	require.Equal(t, []string{"sent"}, w.states(b.ID, "customer.parked"))
	w.invariants()
}

// A free booking, one by staff, and a block.
func TestMails_FreeBookingAndBlock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r, err := w.bookings.CreateResource(t.Context(), booking.Resource{Slug: "tour", Name: "Tour",
		TimeZone: "Europe/Paris", Capacity: 1, SlotLength: time.Hour, Price: booking.Money{Currency: "eur"}})
	require.NoError(t, err)
	start := time.Now().UTC().Truncate(24 * time.Hour).Add(30 * 24 * time.Hour)
	booked, err := w.payments.Book(t.Context(), booking.HoldRequest{Resource: r.ID, Start: start, Customer: ann})
	require.NoError(t, err)
	_, err = w.bookings.Block(t.Context(), booking.BlockRequest{Resource: r.ID, From: start.Add(2 * time.Hour),
		To: start.Add(3 * time.Hour)})
	require.NoError(t, err)
	mails := w.send()
	require.Len(t, mails, 2)
	m := w.one(mails, ann.Email)
	require.Contains(t, m.Text, "Free of charge")
	id, token := linkOf(t, m)
	require.Equal(t, booked.Booking.ID, id)
	require.Equal(t, booked.Booking.OwnerToken, token, "the link that the customer has got already")
	w.invariants()
}

// A link whose secret is gone gets a new token, one that works does not.
func TestMails_LinkAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b, _ := w.paid(ann)
	w.send()
	again := func(occurrence string) notify.Mail {
		tx, err := w.db.BeginTx(context.WithoutCancel(t.Context()), nil)
		require.NoError(t, err)
		_, err = w.outbox.Enqueue(t.Context(), tx, bookingmail.LinkAgain(b, occurrence))
		require.NoError(t, err)
		require.NoError(t, tx.Commit())
		return w.one(w.send(), ann.Email)
	}
	_, token := linkOf(t, again("1"))
	require.Equal(t, b.OwnerToken, token)
	w.exec(`UPDATE booking_platform.bookings SET owner_secret = '', owner_nonce = NULL WHERE id = $1::uuid`, b.ID)
	_, renewed := linkOf(t, again("2"))
	require.NotEqual(t, token, renewed)
	_, err := w.bookings.Owned(t.Context(), b.ID, renewed)
	require.NoError(t, err)

	// A hold is no booking yet.
	const unpaid = "It is not confirmed yet: the payment has not arrived."
	require.NotContains(t, again("3").Text, unpaid)
	b = w.hold(ann)
	require.Contains(t, again("4").Text, unpaid)
}

func TestMails_French(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.language = "fr-CA"
	b, _ := w.paid(ann)
	mails := w.send()
	m := w.one(mails, ann.Email)
	require.Equal(t, "fr", m.Language)
	require.Contains(t, m.Subject, "Votre réservation est confirmée\u00a0: Massage")
	require.Contains(t, m.Text, "25,00\u00a0€")
	require.Contains(t, m.Text, "sans frais")
	require.Contains(t, m.Text, "Total\u00a0: 25,00")
	require.Contains(t, m.Text, "Votre réservation\u00a0: https://booking.example/")
	require.Contains(t, m.HTML, `lang="fr"`)
	require.Contains(t, w.one(mails, owner).Subject, "New booking", "the owner's language is another")
	require.Equal(t, "fr-CA", w.message(b.ID, "customer.confirmed").Language)
}

func (w *world) message(id, kind string) notify.Message {
	w.t.Helper()
	all, err := w.outbox.List(w.t.Context(), notify.ListOptions{Reference: id, Kind: kind})
	require.NoError(w.t, err)
	require.Len(w.t, all, 1)
	return all[0]
}

// What customers type appears as text, in one line, and a name that advertises is not
// greeted.
func TestMails_HostileNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []booking.Customer{
		{FirstName: `<b>Ann</b>`, LastName: `"><img src=x>`, Email: "ann@example.com"},
		{FirstName: "Win at https://evil.example", LastName: "Lee", Email: "ann@example.com"},
	} {
		w.paid(c)
		mails := w.send()
		require.Len(t, mails, 2)
		for _, m := range mails {
			require.NoError(t, m.Check())
			require.NotContains(t, m.HTML, "<b>")
			require.NotContains(t, m.HTML, "<img")
		}
		require.NotContains(t, w.one(mails, c.Email).Text, "evil.example")
		require.NotContains(t, w.one(mails, c.Email).ToName, "evil.example", "mail programs show it")
	}
}

// The text of Render can be changed, and the reading is done already.
func TestMails_OwnTemplates(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *bookingmail.Options) {
		o.Owners = nil
		o.Render = func(_ context.Context, c bookingmail.Content) (notify.Mail, error) {
			m, err := bookingmail.Render(c)
			m.Subject = "[" + string(c.Topic) + "] " + m.Subject
			return m, err
		}
	})
	w.paid(ann)
	mails := w.send()
	require.Len(t, mails, 1)
	require.Contains(t, mails[0].Subject, "[confirmed] Your booking")
}

// A booking, its move and its cancellation in transactions that are rolled back tell
// nothing.
func TestMails_RolledBackChangeTellsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.hold(ann)
	stop := sql.ErrNoRows
	err := w.bookings.InTx(t.Context(), func(_ *sql.Tx, bookings *booking.Tx) error {
		_, err := bookings.Confirm(t.Context(), b.ID)
		require.NoError(t, err)
		return stop
	})
	require.ErrorIs(t, err, stop)
	require.Empty(t, w.send())
	w.invariants()
}

// invariants: each change has its message, each message its change.
func (w *world) invariants() {
	w.t.Helper()
	for name, query := range map[string]string{
		"a change without a message": `
			SELECT count(*) FROM booking_platform.booking_history h WHERE (h.to_status = 'confirmed' AND
				(h.from_status IN ('', 'pending', 'expired') OR h.from_status = 'confirmed' AND h.to_start IS NOT NULL)
				OR h.to_status = 'cancelled' AND h.from_status = 'confirmed')
			AND NOT EXISTS (SELECT FROM booking_platform.messages m WHERE m.kind = 'booking.change'
				AND m.reference = h.booking_id::text AND m.occurrence = h.id::text)`,
		"a message without a change": `
			SELECT count(*) FROM booking_platform.messages m WHERE m.kind = 'booking.change' AND NOT EXISTS (
				SELECT FROM booking_platform.booking_history h
				WHERE h.booking_id::text = m.reference AND h.id::text = m.occurrence)`,
		"a payment's fact without a message": `
			SELECT count(*) FROM booking_platform.payments p WHERE (p.parked OR p.unapplied <> '') AND NOT EXISTS (
				SELECT FROM booking_platform.messages m WHERE m.kind = 'payment.change' AND m.reference = p.booking_id::text
				AND m.data ->> 'payment' = p.id::text)`,
		"a refund without a message": `
			SELECT count(*) FROM booking_platform.refunds r WHERE r.status <> 'due' AND NOT EXISTS (
				SELECT FROM booking_platform.messages m WHERE m.kind = 'payment.change'
				AND m.data ->> 'refund' = r.id::text)`,
		"an expanded change without what was made of it": `
			SELECT count(*) FROM booking_platform.messages m JOIN booking_platform.bookings b ON b.id::text = m.reference
			WHERE m.state = 'expanded' AND b.kind = 'booking' AND m.data ->> 'what' <> 'refund_failed' AND NOT EXISTS (
				SELECT FROM booking_platform.messages c WHERE c.reference = m.reference AND c.occurrence = m.occurrence
				AND c.kind = 'customer.' || (m.data ->> 'what'))`,
		"a message that is owed and forgotten": `
			SELECT count(*) FROM booking_platform.messages m WHERE m.state = 'due'
				AND m.next_attempt_at < statement_timestamp() - interval '1 minute'`,
	} {
		var n int
		require.NoError(w.t, w.db.QueryRowContext(w.t.Context(), query).Scan(&n), name)
		require.Zero(w.t, n, name)
	}
}

func TestMails_RefundFailedIsTheOwners(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b, paid := w.paid(ann)
	w.send()
	_, err := w.payments.Cancel(t.Context(), booking.CancelRequest{ID: b.ID})
	require.NoError(t, err)
	_, err = w.payments.SettleRefunds(t.Context())
	require.NoError(t, err)
	w.send()
	w.exec(`UPDATE booking_platform.refunds SET status = 'failed' WHERE payment_id = $1::uuid`, paid.PaymentID)
	mails := w.send()
	require.Len(t, mails, 1)
	require.Contains(t, w.one(mails, owner).Text, "has to be paid in another way")
	var all []payments.Refund
	all, err = w.payments.Refunds(t.Context(), paid.PaymentID)
	require.NoError(t, err)
	require.Len(t, all, 1)
}
