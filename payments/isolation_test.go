package payments_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/payments"
)

// An embedder's role may begin its transactions above READ COMMITTED; ours sort out by
// themselves what Postgres then refuses.
func TestRoleWithAHigherIsolation(t *testing.T) {
	t.Parallel()
	for _, level := range []string{"repeatable read", "serializable"} {
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			url := testdb.URL(t)
			_, err := testdb.Open(t, testdb.PQ, testdb.Direct(t, url, "the setting counts for sessions that begin after it")).Exec(`
				DO $$ BEGIN
					EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = %L', current_database(), '` + level + `');
					EXECUTE format('ALTER ROLE CURRENT_USER IN DATABASE %I SET default_transaction_isolation = %L', current_database(), '` + level + `');
				END $$`)
			require.NoError(t, err)
			db := testdb.Open(t, testdb.PQ, url)
			var got string
			require.NoError(t, db.QueryRow(`SHOW transaction_isolation`).Scan(&got))
			require.Equal(t, level, got)

			w := newWorld(t, setup{db: db})
			atOnce := func(f func() error) {
				var wg sync.WaitGroup
				errs := make([]error, 8)
				for i := range errs {
					wg.Go(func() { errs[i] = f() })
				}
				wg.Wait()
				for _, err := range errs {
					require.NoError(t, err)
				}
			}
			var held []booking.Booking
			for i := range 6 {
				held = append(held, w.hold(i))
				atOnce(func() error {
					_, err := w.payments.Checkout(t.Context(), held[i].ID)
					return err
				})
			}
			w.pay(w.checkout(held[0]))
			require.Equal(t, payments.Paid, w.payment(held[0].ID).Status())
			for _, b := range held[1:] {
				w.endHold(b.ID)
			}
			atOnce(func() error {
				_, err := w.payments.ExpireSessions(t.Context())
				return err
			})
			for _, b := range held[1:] {
				require.Equal(t, booking.Expired, w.status(b.ID))
			}
		})
	}
}
