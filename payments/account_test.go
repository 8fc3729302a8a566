package payments_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// otherStripe has none of our objects.
func otherStripe(t *testing.T, key string) string {
	t.Helper()
	other, err := stripetest.New(stripetest.Options{SecretKey: key})
	require.NoError(t, err)
	api := httptest.NewServer(other)
	t.Cleanup(api.Close)
	return api.URL
}

func (w *world) with(key string, opts payments.Options) *payments.Payments {
	w.t.Helper()
	p, err := payments.New(w.db, w.bookings, key, appURL, opts)
	require.NoError(w.t, err)
	return p
}

func (w *world) endPauses() {
	w.exec(`UPDATE booking_platform.refunds SET next_try_at = statement_timestamp()`)
	w.exec(`UPDATE booking_platform.payments SET leased_until = NULL, page_read_at = NULL`)
}

// M19: With the key of another account, where all is a 404, no refund fails and no
// session or hold expires; the right key settles them.
func TestAccount_KeyOfAnotherAccount(t *testing.T) {
	t.Parallel()
	for name, gone := range map[string]bool{"nothing of ours is there": false, "404 to every call": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, setup{})
			base := otherStripe(t, secretKey)
			if gone {
				none := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
					rw.WriteHeader(http.StatusNotFound)
					_,
						_ = rw.Write([]byte(`{"error":{"type":"invalid_request_error","code":"resource_missing",
							"message":"No such object"}}`))
				}))
				t.Cleanup(none.Close)
				base = none.URL
			}
			wrong := w.with(secretKey, payments.Options{BaseURL: base})
			_, refunded := w.paid(0)
			_, stale := w.paid(1)
			_, marked := w.paid(2)
			due := w.refund(refunded, 0, "case 1")
			made := w.refund(stale, 1000, "case 2")
			w.exec(`UPDATE booking_platform.refunds SET next_try_at = statement_timestamp() + interval '1 hour'
				WHERE id = $1::uuid`, due.ID)
			w.settle(1)
			_, err := w.payments.RefreshRefunds(t.Context())
			require.NoError(t, err)
			// The response was lost, and Stripe may have forgotten the key.
			w.exec(`UPDATE booking_platform.refunds
				SET status = 'due', stripe_refund_id = NULL, first_called_at = statement_timestamp() - interval '2 days'
				WHERE id = $1::uuid`, made.ID)
			w.stripe.HoldDelivery()
			_, err = w.stripe.RefundFromDashboard(marked.SessionID, 300)
			require.NoError(t, err)
			w.exec(`UPDATE booking_platform.payments SET refunds_unknown = 1 WHERE id = $1::uuid`, marked.ID)
			paid, delayed, over := w.hold(3), w.hold(4), w.hold(5)
			_, err = w.stripe.Pay(t.Context(), w.checkout(paid).SessionID)
			require.NoError(t, err)
			_, err = w.stripe.PayDelayed(t.Context(), w.checkout(delayed).SessionID)
			require.NoError(t, err)
			w.checkout(over)
			w.endHold(over.ID)
			w.exec(`UPDATE booking_platform.payments
				SET session_expires_at = statement_timestamp() - interval '1 hour'
				WHERE booking_id IN ($1::uuid, $2::uuid)`,
				paid.ID, delayed.ID)

			for range 2 {
				w.endPauses()
				_, err := wrong.SettleRefunds(t.Context())
				require.ErrorIs(t, err, payments.ErrUnavailable)
				_, err = wrong.RefreshRefunds(t.Context())
				require.ErrorIs(t, err, payments.ErrUnavailable)
				ended, err := wrong.ExpireSessions(t.Context())
				require.ErrorIs(t, err, payments.ErrUnavailable)
				require.Zero(t, ended)
				settled, err := wrong.ReconcilePayments(t.Context())
				require.ErrorIs(t, err, payments.ErrUnavailable)
				require.Zero(t, settled)
				require.ErrorIs(t, refreshSession(t.Context(), wrong, w.payment(paid.ID).SessionID),
					payments.ErrUnavailable)
			}
			for _, b := range []booking.Booking{paid, delayed, over} {
				require.Equal(t, booking.StatusPending, w.status(b.ID))
				require.Equal(t, payments.StatusOpen, w.payment(b.ID).Status())
			}
			require.Equal(t, payments.RefundDue, w.refundsOf(refunded)[0].Status)
			require.Equal(t, payments.RefundDue, w.refundsOf(stale)[0].Status)
			require.Positive(t, w.backlog().RefundsUnknown.Count)

			w.endPauses()
			asked, err := w.payments.ReconcilePayments(t.Context())
			require.NoError(t, err)
			require.Equal(t, 1, asked)
			ended, err := w.payments.ExpireSessions(t.Context())
			require.NoError(t, err)
			require.Equal(t, 1, ended)
			_, err = w.payments.SettleRefunds(t.Context())
			require.NoError(t, err)
			_, err = w.payments.RefreshRefunds(t.Context())
			require.NoError(t, err)
			_, err = w.stripe.ReleaseDelivery(t.Context(), nil)
			require.NoError(t, err)
			require.NoError(t, w.stripe.WaitDelivered(t.Context()))
			require.Equal(t, booking.StatusConfirmed, w.status(paid.ID))
			require.Equal(t, booking.StatusExpired, w.status(over.ID))
			require.Equal(t, payments.StatusRefunded, w.payment(refunded.BookingID).Status())
			require.Len(t, w.stripe.Refunds(), 3)
			w.requireBooks()
		})
	}
}

// M19: Steps, lists and counts are of the account's own payments, and report that there
// are others.
func TestAccount_TwoOnOneDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{opts: payments.Options{Account: "north"}})
	others := map[string]*payments.Payments{
		"another name": w.with(secretKey, payments.Options{Account: "south", BaseURL: otherStripe(t, secretKey)}),
		"another mode": w.with("sk_live_4eC39HqLyjWDarjtT1zdp7dc",
			payments.Options{Account: "north", BaseURL: "http://127.0.0.1:1"}),
	}
	b, p := w.paid(0)
	require.Equal(t, "north/test", p.Account)
	w.refund(p, 0, "case 1")
	w.exec(`UPDATE booking_platform.payments SET refunds_unknown = 1`)
	open := w.checkout(w.hold(1))
	over := w.hold(2)
	w.checkout(over)
	w.endHold(over.ID)
	w.exec(`UPDATE booking_platform.payments SET session_expires_at = statement_timestamp() - interval '1 hour'
		WHERE id = $1::uuid`, open.PaymentID)
	_, parked := w.paid(3)
	w.exec(`UPDATE booking_platform.payments SET parked = true, parked_reason = 'x' WHERE id = $1::uuid`, parked.ID)
	_, disputed := w.paid(4)
	w.exec(`INSERT INTO booking_platform.disputes (id, payment_id, amount_minor, currency, claimed, asked_at)
		VALUES ('dp_1', $1::uuid, 1, 'eur', true, statement_timestamp() - interval '7 hours')`, disputed.ID)
	for name, other := range others {
		for range 2 {
			_, err := other.SettleRefunds(t.Context())
			require.NoError(t, err, name)
			_, err = other.RefreshRefunds(t.Context())
			require.NoError(t, err, name)
			_, err = other.ExpireSessions(t.Context())
			require.NoError(t, err, name)
			_, err = other.ReconcilePayments(t.Context())
			require.NoError(t, err, name)
			if name == "another name" { // The other one cannot list disputes: its Stripe is down.
				_, err = other.DiscoverDisputes(t.Context())
				require.NoError(t, err)
				var leased bool
				require.NoError(t, w.db.QueryRowContext(t.Context(), `SELECT asked_at > statement_timestamp() - interval '6 hours'
					FROM booking_platform.disputes`).Scan(&leased))
				require.False(t, leased)
			}
			require.NoError(t, refreshSession(t.Context(), other, open.SessionID), name)
		}
		backlog, err := other.Backlog(t.Context())
		require.NoError(t, err)
		require.Equal(t, payments.Backlog{OtherAccounts: backlog.OtherAccounts}, backlog, name)
		require.Equal(t, 2, backlog.OtherAccounts.Count)
		attention, err := other.NeedingAttention(t.Context())
		require.NoError(t, err)
		require.Empty(t, attention)
	}
	mine := w.backlog()
	require.Zero(t, mine.OtherAccounts)
	require.Equal(t, 1, mine.RefundsDue.Count)
	require.Equal(t, 1, mine.Overdue.Count)
	require.Equal(t, 1, mine.Parked.Count)
	w.settle(1)
	require.Equal(t, payments.StatusRefunded, w.payment(b.ID).Status())
}

// M19.
func TestOptions_MissingIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	forgetful := w.with(secretKey, payments.Options{BaseURL: otherStripe(t, secretKey), MissingIsGone: true})
	_, p := w.paid(0)
	w.refund(p, 0, "case 1")
	b := w.hold(1)
	w.checkout(b)
	w.endSessions()
	_, err := forgetful.SettleRefunds(t.Context())
	require.NoError(t, err)
	require.Equal(t, payments.RefundFailed, w.refundsOf(p)[0].Status)
	asked, err := forgetful.RefreshRefunds(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, asked)
	settled, err := forgetful.ReconcilePayments(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, settled)
	require.Equal(t, booking.StatusExpired, w.status(b.ID))
}
