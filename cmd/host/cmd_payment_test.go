package main_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
)

// An operator lists and shows a parked payment, and refunds it: a part, then the rest,
// each once.
func TestPayment_ParkedIsRefundedInParts(t *testing.T) {
	t.Parallel()
	env := map[string]string{"DATABASE_URL": testdb.URL(t), "DATA_DIR": t.TempDir()}
	h := startHost(t, env)
	run := func(args ...string) string {
		t.Helper()
		status, stdout, stderr := command(t, env, append([]string{"payment"}, args...)...)
		require.Equal(t, 0, status, stderr)
		return stdout
	}
	refused := func(args ...string) string {
		t.Helper()
		status, stdout, stderr := command(t, env, append([]string{"payment"}, args...)...)
		require.Equal(t, 1, status)
		require.Empty(t, stdout)
		return stderr
	}
	require.Equal(t, "nothing needs attention\n", run("list"))
	var b created
	c := h.client()
	c.post("/api/bookings", wish(c.slot(0), nil)).into(t, &b)
	_,
		err := h.db.Exec(`UPDATE booking_platform.payments SET amount_minor = amount_minor + 100 WHERE booking_id = $1::uuid`, b.ID)
	require.NoError(t, err)
	_, err = h.StripeFake().Pay(t.Context(), b.StripeSessionID)
	require.NoError(t, err)

	list := run("list")
	require.Regexp(t, regexp.MustCompile(b.ID+` +parked +amount_differs +26.00 EUR +25.00 EUR +0.00 EUR`), list)
	shown := run("show", b.ID)
	require.Equal(t, shown, run("show", b.StripeSessionID))
	require.Contains(t, shown, "amount_differs")
	var line struct{ ID, Status, ParkedReason string }
	require.NoError(t, json.Unmarshal([]byte(run("show", "--json", b.ID)), &line))
	require.Equal(t, "parked", line.Status)
	require.Contains(t, list, line.ID)

	require.Contains(t, refused("show", "nonsense"), `there is no payment of "nonsense"`)
	requireRefused := func(line string, args ...string) {
		t.Helper()
		status, stdout, stderr := command(t, env, append([]string{"payment"}, args...)...)
		require.Equal(t, 2, status)
		require.Empty(t, stdout)
		require.Contains(t, stderr, "host: payment refund: "+line+"\n")
	}
	requireRefused(`--amount "5": want an amount in EUR, such as 25.00`, "refund", "--cause", "c", "--amount", "5",
		b.ID)
	require.Contains(t, refused("refund", "--cause", "c", "--amount", "25.01", b.ID), "exceeds")
	require.Contains(t, refused("retry", line.ID), "there is no refund")
	part := run("refund", "--cause", "case 7", "--amount", "10.00", b.ID)
	require.Contains(t, part, "10.00 EUR")
	require.Equal(t, refundIn(part), refundIn(run("refund", "--cause", "case 7", "--amount", "10.00", b.ID)),
		"the same case gives it back once")
	require.Contains(t, run("refund", "--cause", "the rest", line.ID), "15.00 EUR")
	require.Contains(t, refused("refund", "--cause", "more", line.ID), "nothing is left")
	eventually(t, "went back", func() bool {
		var left int
		err := h.db.QueryRow(`SELECT count(*) FROM booking_platform.refunds WHERE status <> 'succeeded'`).Scan(&left)
		return err == nil && left == 0
	})
	require.Equal(t, "nothing needs attention\n", run("list"))
	require.Regexp(t, `refunded: +25.00 EUR`, run("show", b.ID))
	require.Contains(t, run("retry", refundIn(part)), "succeeded", "made already")
}

func refundIn(out string) string {
	return regexp.MustCompile(`(?m)^[0-9a-f]{8}-[0-9a-f-]+`).FindString(out)
}

// M14: an operator's refund with the cause that the host itself uses does not affect a
// later cancellation, which refunds the rest.
func TestPaymentRefund_CauseCancelled(t *testing.T) {
	t.Parallel()
	env := map[string]string{"DATABASE_URL": testdb.URL(t), "DATA_DIR": t.TempDir()}
	h := startHost(t, env)
	var b created
	c := h.client()
	c.post("/api/bookings", wish(c.slot(0), nil)).into(t, &b)
	_, err := h.StripeFake().Pay(t.Context(), b.StripeSessionID)
	require.NoError(t, err)
	status, stdout, stderr := command(t, env, "payment", "refund", "--cause", "cancelled", "--amount", "5.00", b.ID)
	require.Equal(t, 0, status, stderr)
	require.Contains(t, stdout, "5.00 EUR")
	status, _, stderr = command(t, env, "payment", "refund", "--cause", "cancelled", "--amount", "20.00", b.ID)
	require.Equal(t, 1, status)
	require.Contains(t, stderr, "cause was used before, for 5.00 EUR")
	a := c.post("/api/bookings/"+b.ID+"/cancel", nil, "Authorization", "Bearer "+b.Token)
	require.Equal(t, 200, a.status, a.body)
	eventually(t, "all of it goes back", func() bool {
		return h.StripeFake().Balance()["eur"].Refunded == 2500
	})
}

// A refund that the bank returned was paid by transfer: the command records it, with its
// cause in the booking's history. A session that is gone at Stripe is ended in the same
// way; one that is there is not.
func TestPaymentSettle_RefundAndSession(t *testing.T) {
	t.Parallel()
	env := map[string]string{"DATABASE_URL": testdb.URL(t), "DATA_DIR": t.TempDir()}
	h := startHost(t, env)
	run := func(args ...string) (int, string, string) {
		return command(t, env, append([]string{"payment"}, args...)...)
	}
	var b, open created
	c := h.client()
	c.post("/api/bookings", wish(c.slot(0), nil)).into(t, &b)
	_, err := h.StripeFake().Pay(t.Context(), b.StripeSessionID)
	require.NoError(t, err)
	status, stdout, stderr := run("refund", "--cause", "case 7", "--amount", "10.00", b.ID)
	require.Equal(t, 0, status, stderr)
	eventually(t, "went back", func() bool { return h.StripeFake().Balance()["eur"].Refunded == 1000 })
	_, err = h.StripeFake().FailRefund(h.StripeFake().Refunds()[0].ID, "lost_or_stolen_card")
	require.NoError(t, err)
	eventually(t, "failed", func() bool {
		_, list, _ := run("list")
		return strings.Contains(list, "failed")
	})
	id := refundIn(stdout)
	status, _, stderr = run("settle", id)
	require.Equal(t, 2, status)
	require.Contains(t, stderr, "--cause is missing")
	status, stdout, stderr = run("settle", "--cause", "bank transfer 42", id)
	require.Equal(t, 0, status, stderr)
	require.Contains(t, stdout, "10.00 EUR")
	require.Contains(t, stdout, "succeeded")
	_, stdout, _ = run("list")
	require.Equal(t, "nothing needs attention\n", stdout)
	history, err := h.Bookings().History(t.Context(), b.ID)
	require.NoError(t, err)
	require.Equal(t, "refund of 10.00 EUR paid in another way: bank transfer 42", history[len(history)-1].Reason)
	require.Equal(t, "operator", history[len(history)-1].Actor)

	c.post("/api/bookings", wish(c.slot(1), nil)).into(t, &open)
	status, _, stderr = run("settle", "--cause", "deleted", open.StripeSessionID)
	require.Equal(t, 1, status)
	require.Regexp(t, "is not gone|unavailable", stderr)
	status, _, stderr = run("settle", "--cause", "deleted", "nonsense")
	require.Equal(t, 1, status)
	require.Contains(t, stderr, `there is no payment of "nonsense"`)
}
