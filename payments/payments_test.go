package payments_test

import (
	"context"
	"database/sql"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/stripemock"
	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/payments"
)

func TestNew_InvalidArguments(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	bookings, err := booking.New(db, booking.Options{})
	require.NoError(t, err)
	for name, make := range map[string]func() (*payments.Payments, error){
		"no database": func() (*payments.Payments, error) {
			return payments.New(nil, bookings, secretKey, appURL, payments.Options{})
		},
		"no bookings": func() (*payments.Payments, error) {
			return payments.New(db, nil, secretKey, appURL, payments.Options{})
		},
		"no key": func() (*payments.Payments, error) {
			return payments.New(db, bookings, " ", appURL,
				payments.Options{})
		},
		"relative URL": func() (*payments.Payments, error) {
			return payments.New(db, bookings, secretKey, "/", payments.Options{})
		},
		"no scheme": func() (*payments.Payments, error) {
			return payments.New(db, bookings, secretKey, "booking.example", payments.Options{})
		},
		"bad base": func() (*payments.Payments, error) {
			return payments.New(db, bookings, secretKey, appURL, payments.Options{BaseURL: "nowhere"})
		},
	} {
		_, err := make()
		require.Error(t, err, name)
	}
}

// M28: Keys that are not secret API keys are refused; blanks around one are ignored.
func TestNew_Key(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	for _, key := range []string{
		"", " ", "whsec_payments", " whsec_payments", "pk_test_payments", "pk_live_payments", "payments", "sk", "sk_",
		"rk__", "SK_test_payments",
		"sk_test_payments,sk_test_other", "sk_test_pay ments", "sk_test_pay\nments", "sk_test_päyments",
		`"sk_test_payments"`, "sk_test_\x00",
	} {
		_, err := payments.New(w.db, w.bookings, key, appURL, payments.Options{})
		require.Error(t, err, key)
		if strings.Contains(key, "_payments") {
			require.NotContains(t, err.Error(), strings.TrimSpace(key))
		}
	}
	for _, key := range []string{secretKey + "\n", " " + secretKey, "\t" + secretKey + "\r\n"} {
		p := w.with(key, payments.Options{BaseURL: w.api})
		_, err := p.Checkout(t.Context(), w.hold(len(w.stripe.Sessions())).ID)
		require.NoError(t, err)
	}
	for _, key := range []string{"rk_live_payments", "sk_live_51H", "sk_payments"} {
		w.with(key, payments.Options{})
	}
}

func TestNew_BlanksAndSlashes(t *testing.T) {
	t.Parallel()
	w := newWorld(t,
		setup{opts: payments.Options{RequestID: func(context.Context) string { return strings.Repeat("x", 501) }}})
	c := w.checkout(w.hold(0))
	s, err := w.stripe.Session(c.SessionID)
	require.NoError(t, err)
	require.NotContains(t, s.Metadata, "request_id", "longer than Stripe takes")

	// A key that was read from a file ends with a newline.
	pay, err := payments.New(w.db, w.bookings, secretKey+"\n", appURL, payments.Options{BaseURL: w.api})
	require.NoError(t, err)
	_, err = pay.Checkout(t.Context(), w.hold(1).ID)
	require.NoError(t, err)

	for _, url := range []string{appURL + "/?a=b", appURL + "/#top"} {
		_, err := payments.New(w.db, w.bookings, secretKey, url, payments.Options{})
		require.Error(t, err, url)
	}
}

func TestCheckout_EveryDriver(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		w := newWorld(t, setup{db: db})
		paid, left := w.hold(0), w.hold(1)
		w.pay(w.checkout(paid))
		require.Equal(t, booking.StatusConfirmed, w.status(paid.ID))
		w.checkout(left)
		w.endHold(left.ID)
		n, err := w.payments.ExpireSessions(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1, n)
		require.Equal(t, booking.StatusExpired, w.status(left.ID))
		require.Equal(t, payments.StatusExpired, w.payment(left.ID).Status())
	})
}

// What Postgres refuses under a role's stricter default is retried.
func TestPayments_HigherDefaultIsolation(t *testing.T) {
	t.Parallel()
	for _, level := range []string{"repeatable read", "serializable"} {
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			url := testdb.URL(t)
			direct := testdb.Direct(t, url, "the setting counts for sessions that begin after it")
			_, err := testdb.Open(t, testdb.PQ, direct).Exec(`
				DO $$ BEGIN
					EXECUTE format('ALTER DATABASE %I
					SET default_transaction_isolation = %L', current_database(), '` + level + `');
					EXECUTE format('ALTER ROLE CURRENT_USER IN DATABASE %I
					SET default_transaction_isolation = %L', current_database(), '` + level + `');
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
			require.Equal(t, payments.StatusPaid, w.payment(held[0].ID).Status())
			for _, b := range held[1:] {
				w.endHold(b.ID)
			}
			atOnce(func() error {
				_, err := w.payments.ExpireSessions(t.Context())
				return err
			})
			for _, b := range held[1:] {
				require.Equal(t, booking.StatusExpired, w.status(b.ID))
			}
		})
	}
}

// Every request conforms to Stripe's published description.
func TestStripe_MockAcceptsEveryRequest(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	bookings, err := booking.New(db, booking.Options{})
	require.NoError(t, err)
	w := &world{t: t, db: db, bookings: bookings}
	w.payments, err = payments.New(db, bookings, secretKey, appURL, payments.Options{
		BaseURL: stripemock.Start(t), RequestID: func(context.Context) string { return "req-1234" },
	})
	require.NoError(t, err)
	w.resource = w.newResource("room", price, 4)
	b, err := bookings.Hold(t.Context(), booking.HoldRequest{
		Resource: "room", Start: slot(0), Party: 2, Customer: ada,
	})
	require.NoError(t, err)
	c := w.checkout(b)
	require.NotEmpty(t, c.SessionID)
	w.endHold(b.ID)
	n, err := w.payments.ExpireSessions(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	_, err = payments.SessionStatus(w.payments, t.Context(), c.SessionID)
	require.NoError(t, err)
}
