package main_test

import (
	"bytes"
	"context"
	"database/sql"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/cmd/host/internal/doctor"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// A test payment must lead to one confirmed and paid booking, one payment and one ledger
// row; anything else is a problem. The booking is cancelled and refunded in any case.
func TestDoctorPay_CountsDiffer(t *testing.T) {
	t.Parallel()
	const another = `INSERT INTO booking_platform.payment_events (receiver, stripe_event_id, type, stripe_session_id, outcome)
		SELECT 'host', 'evt_another', type, stripe_session_id, 'processed' FROM booking_platform.payment_events WHERE type = 'checkout.session.completed'`
	for name, c := range map[string]struct {
		// was is replaced by is in the answer about the confirmed booking.
		was, is string
		// plant changes the database once the booking is confirmed; mend reverts it
		// before the booking is cancelled.
		plant, mend string
		want        doctor.Name
		says        string
	}{
		"it is not paid for": {was: `"status":"paid"`, is: `"status":"unpaid"`, want: doctor.PayConfirmed,
			says: "confirmed and its payment unpaid"},
		"less was paid": {was: `"amountPaid":2500`, is: `"amountPaid":2400`, want: doctor.PayConfirmed,
			says: "the booking is confirmed"},
		"two rows of the ledger": {plant: another, want: doctor.PayOnce,
			says: "1 confirmed booking, 1 payment, 2 row of the ledger"},
		"no row of the ledger": {
			plant: `UPDATE booking_platform.payment_events SET outcome = 'ignored', reason = 'not_ours' WHERE type = 'checkout.session.completed'`,
			want:  doctor.PayOnce, says: "1 confirmed booking, 1 payment, 0 row of the ledger",
		},
		"the payment has less": {
			plant: `UPDATE booking_platform.payments SET captured_minor = captured_minor - 1`,
			mend:  `UPDATE booking_platform.payments SET captured_minor = captured_minor + 1`,
			want:  doctor.PayOnce, says: "1 confirmed booking, 0 payment, 1 row of the ledger",
		},
		"the booking is not confirmed": {
			plant: `UPDATE booking_platform.bookings SET status = 'pending'`,
			mend:  `UPDATE booking_platform.bookings SET status = 'confirmed'`,
			want:  doctor.PayOnce, says: "0 confirmed booking, 1 payment, 1 row of the ledger",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := map[string]string{"DATABASE_URL": testdb.URL(t)}
			h := startHost(t, env)
			planted := false
			front := meddling(t, h.URL(), func(body []byte) []byte {
				if !bytes.Contains(body, []byte(`"status":"confirmed"`)) ||
					bytes.Contains(body, []byte(`"amountRefunded":2500`)) {
					return body
				}
				if c.plant != "" && !planted {
					execute(t, h.db, c.plant)
				}
				planted = true
				return bytes.Replace(body, []byte(c.was), []byte(c.is), 1)
			}, func() {
				if c.mend != "" {
					execute(t, h.db, c.mend)
				}
			})
			status, found, stderr := examined(t, env, "--base", front, "--pay")
			require.Equal(t, 1, status, stderr)
			require.True(t, planted)
			require.Equal(t, map[doctor.Name]doctor.Level{c.want: doctor.Problem}, amiss(found), found[c.want].Found)
			require.Contains(t, found[c.want].Found, c.says)
			require.Contains(t, found, doctor.PayCancelled)
			require.Contains(t, found, doctor.PayRefunded)
		})
	}
}

// meddling is a proxy in front of a host: seen changes answers about a booking, and
// cancelling is called before a booking is cancelled.
func meddling(t *testing.T, host string, seen func([]byte) []byte, cancelling func()) string {
	t.Helper()
	target, err := url.Parse(host)
	require.NoError(t, err)
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ModifyResponse = func(r *http.Response) error {
		if r.Request.Method != http.MethodGet || !strings.HasPrefix(r.Request.URL.Path, "/api/bookings/") {
			return nil
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		body = seen(body)
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		r.Header.Set("Content-Length", strconv.Itoa(len(body)))
		return nil
	}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/cancel") {
			cancelling()
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	return front.URL
}

// execute runs a statement from a goroutine that is not the test's.
func execute(t *testing.T, db *sql.DB, query string) {
	if _, err := db.ExecContext(context.Background(), query); err != nil {
		t.Errorf("%s: %v", query, err)
	}
}

// A paid booking that is not confirmed is a problem, whatever --wait allows.
func TestDoctorPay_BookingStaysPending(t *testing.T) {
	t.Parallel()
	env := map[string]string{"DATABASE_URL": testdb.URL(t)}
	h := realStripe(t, env, false, true)
	front := meddling(t, h.URL(), func(body []byte) []byte {
		return bytes.Replace(body, []byte(`"status":"confirmed"`), []byte(`"status":"pending"`), 1)
	}, func() {})
	env["STRIPE_SECRET_KEY"], env["STRIPE_WEBHOOK_SECRET"] = "sk_test_4eC39HqLyjWDarjtT1zdp7dc", "whsec_12345678"
	status, found, stderr := examined(t, env, "--base", front, "--pay", "--wait", "3s")
	require.Equal(t, 1, status, stderr)
	require.Equal(t, map[doctor.Name]doctor.Level{doctor.PayConfirmed: doctor.Problem}, amiss(found))
	require.Contains(t, found[doctor.PayConfirmed].Found, "the booking is pending and its payment paid")
	require.Contains(t, found, doctor.PayRefunded)
}
