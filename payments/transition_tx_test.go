package payments_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/webhook"
)

// In the transactions of events, calls and steps.
func TestTransition_SQL(t *testing.T) {
	t.Parallel()
	w := withOutbox(t, setup{opts: payments.Options{
		OnTransition: func(ctx context.Context, tx payments.Tx, tr payments.Transition) error {
			var same bool
			if err := tx.QueryRowContext(ctx, `SELECT pg_current_xact_id() = $1::text::xid8`,
				xid(t, ctx, tx)).Scan(&same); err != nil || !same {
				return err
			}
			_, err := sqlx.NamedExecContext(ctx, tx, `INSERT INTO outbox (kind, payment, line) VALUES (:k, :p, :k)`,
				map[string]any{"k": string(tr.Kind), "p": tr.Payment.ID})
			return err
		}}})
	b := w.hold(0)
	w.pay(w.checkout(b))
	w.requireTransitions("paid")
	_, err := w.payments.Cancel(t.Context(), booking.CancelRequest{ID: b.ID, Refund: new(int64(2000))})
	require.NoError(t, err)
	w.requireTransitions("refund_due", "cancelled")
	w.settle(1)
	w.requireTransitions("refunded")
	w.stripe.HoldDelivery()
	_, err = w.stripe.Pay(t.Context(), w.checkout(w.hold(1)).SessionID)
	require.NoError(t, err)
	w.reconcile()
	w.requireTransitions("paid")
}

func xid(t *testing.T, ctx context.Context, tx payments.Tx) (id string) {
	t.Helper()
	if err := tx.SQL().QueryRowContext(ctx, `SELECT pg_current_xact_id()::text`).Scan(&id); err != nil {
		t.Error(err)
	}
	return id
}

// An error of the call or the event. What was not committed is rolled back.
func TestTransition_HookEndsTransaction(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(context.Context, payments.Tx) error{
		"SQL().Rollback": func(_ context.Context, tx payments.Tx) error { return tx.SQL().Rollback() },
		"ROLLBACK": func(ctx context.Context, tx payments.Tx) error {
			_, err := tx.ExecContext(ctx, `ROLLBACK`)
			return err
		},
		"ROLLBACK AND CHAIN": func(ctx context.Context, tx payments.Tx) error {
			_, err := tx.ExecContext(ctx, `ROLLBACK AND CHAIN`)
			return err
		},
	} {
		for _, driver := range []testdb.Driver{testdb.PQ, testdb.PGX} {
			t.Run(string(driver)+" "+name, func(t *testing.T) {
				t.Parallel()
				ends := false
				w := withOutbox(t, setup{db: testdb.Open(t, driver, testdb.URL(t)), opts: payments.Options{
					OnTransition: func(ctx context.Context, tx payments.Tx, tr payments.Transition) error {
						if ends {
							return end(ctx, tx)
						}
						return outbox(ctx, tx, tr)
					}}})
				b := w.hold(0)
				c := w.checkout(b)
				w.stripe.HoldDelivery()
				_, err := w.stripe.Pay(t.Context(), c.SessionID)
				require.NoError(t, err)
				event := w.stripe.Events()[0].Payload
				ends = true
				require.Equal(t, http.StatusInternalServerError, w.sendRaw(event))
				require.Equal(t, booking.StatusPending, w.status(b.ID))
				failed, err := w.receiver.Ledger().List(t.Context(), webhook.ListOptions{Outcome: webhook.Failed})
				require.NoError(t, err)
				require.Len(t, failed, 1)
				require.Contains(t, failed[0].LastError, webhook.ErrTransactionEnded.Error())
				ends = false
				require.Equal(t, http.StatusOK, w.sendRaw(event))
				require.Equal(t, booking.StatusConfirmed, w.status(b.ID))
				w.requireTransitions("paid 2500 of 0: paid confirmed")

				ends = true
				_, err = w.payments.Cancel(t.Context(), booking.CancelRequest{ID: b.ID})
				require.ErrorIs(t, err, webhook.ErrTransactionEnded)
				require.Equal(t, booking.StatusConfirmed, w.status(b.ID))
				ends = false
				_, err = w.payments.Cancel(t.Context(), booking.CancelRequest{ID: b.ID, Refund: new(int64(0))})
				require.NoError(t, err)
				w.requireTransitions("cancelled 0 of 0: paid cancelled")
			})
		}
	}
}

// What a hook commits stays, and the caller is told.
func TestTransition_HookCommits(t *testing.T) {
	t.Parallel()
	ends := false
	w := withOutbox(t, setup{opts: payments.Options{
		OnTransition: func(_ context.Context, tx payments.Tx, _ payments.Transition) error {
			if ends {
				return tx.SQL().Commit()
			}
			return nil
		}}})
	b, _ := w.paid(0)
	ends = true
	_, err := w.payments.Cancel(t.Context(), booking.CancelRequest{ID: b.ID, Refund: new(int64(0))})
	require.ErrorIs(t, err, webhook.ErrTransactionEnded)
	require.Equal(t, booking.StatusCancelled, w.status(b.ID))
}
