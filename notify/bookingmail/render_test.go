package bookingmail_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
)

// Money of the desk goes back by hand: the owner has to know, and no bank is waited for.
func TestMails_CancelledDeskPayment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.hold(ann)
	_, err := w.payments.RecordDesk(t.Context(), payments.DeskPayment{BookingID: b.ID, Amount: b.Amount, Method: "cash",
		Reference: "receipt 17", Actor: "user:1"})
	require.NoError(t, err)
	w.send()
	_, err = w.payments.Cancel(t.Context(), booking.CancelRequest{ID: b.ID})
	require.NoError(t, err)
	mails := w.send()
	require.Len(t, mails, 2)
	require.Contains(t, w.one(mails, ann.Email).Text, "EUR 25.00 is paid back to you.")
	require.Contains(t, w.one(mails, owner).Text, "EUR 25.00 has to be paid back by hand.")
	for _, m := range mails {
		require.Contains(t, m.Text, "Refund: EUR 25.00")
		require.NotContains(t, m.Text, "working days")
	}
}

// A bank that looks into a payment, or has returned it, is not promised a refund beside.
func TestMails_CancelledDuringDispute(t *testing.T) {
	t.Parallel()
	for set, want := range map[string]string{
		"disputes_open = 1":         "nothing is refunded until that is decided",
		"dispute_lost_minor = 2500": "Your bank has already returned EUR 25.00 to you: nothing more is refunded.",
		"dispute_lost_minor = 1000": "EUR 10.00 to you, and EUR 15.00 is refunded by us.",
	} {
		w := newWorld(t)
		b, paid := w.paid(ann)
		w.send()
		w.exec(`UPDATE booking_platform.payments SET `+set+` WHERE id = $1::uuid`, paid.PaymentID)
		_, err := w.payments.Cancel(t.Context(), booking.CancelRequest{ID: b.ID})
		require.NoError(t, err)
		mails := w.send()
		m := w.one(mails, ann.Email)
		require.Contains(t, m.Text, want)
		for _, m := range mails {
			require.NotContains(t, m.Text, "Refund: EUR 25.00", set)
			require.NotContains(t, m.Text, "EUR 25.00 goes back", set)
		}
	}
}
