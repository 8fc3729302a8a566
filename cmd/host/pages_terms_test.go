package main_test

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/payments/stripetest"
)

func wordsOf(body string) string {
	body = body[strings.Index(body, "<main"):]
	text := regexp.MustCompile(`<[^>]*>`).ReplaceAllString(body, " ")
	return html.UnescapeString(strings.Join(strings.Fields(text), " "))
}

// For each status of a booking and its payment, the booking's page, the cancel page and
// the API agree about the money.
func TestTerms_EveryStatusAndPayment(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	ada := h.client()
	b := ada.book("studio", mustTime(t, ada.slot(5)), false)
	// The states of a payment: its columns, and the resulting state of the money.
	const none, failed, coming, applied, back, gone, parked = "none", "failed", "coming", "applied", "back", "gone",
		"parked"
	captured := func(more string) string {
		return "completed = true, captured_minor = 2500, captured_currency = 'eur'" + more
	}
	payments := []struct{ status, set, money string }{
		{"", "", none},
		{"open", "failed = false", none},
		{"failed", "completed = true, failed = true", failed},
		{"expired", "expired = true", failed},
		{"processing", "completed = true", coming},
		{"paid", captured(""), applied},
		{"partially_refunded", captured(", refunded_minor = 1000, refund_committed = 1000"), applied},
		{"refunded", captured(", refunded_minor = 2500, refund_committed = 2500"), applied},
		{"disputed", captured(", disputes = 1, disputes_open = 1"), applied},
		{"dispute_lost", captured(", disputes = 1, dispute_lost_minor = 2500"), applied},
		{"paid", captured(", unapplied = 'hold_expired'"), back},
		{"partially_refunded",
			captured(", unapplied = 'booking_cancelled', refunded_minor = 1000, refund_committed = 1000"), back},
		{"refunded", captured(", unapplied = 'hold_expired', refunded_minor = 2500, refund_committed = 2500"), gone},
		{"disputed", captured(", unapplied = 'hold_expired', disputes = 1, disputes_open = 1"), back},
		{"dispute_lost", captured(", unapplied = 'hold_expired', disputes = 1, dispute_lost_minor = 2500"), gone},
		{"parked", captured(", parked = true, parked_reason = 'amount_differs'"), parked},
		{"parked",
			captured(", parked = true, parked_reason = 'hold_expired', refunded_minor = 1000, refund_committed = 1000"),
			parked},
		{"parked", "completed = true, parked = true, parked_reason = 'amount_differs'", parked},
		{"refunded",
			captured(", parked = true, parked_reason = 'amount_differs', refunded_minor = 2500, refund_committed = " +
				"2500"), gone},
	}
	// Required and forbidden texts by state of the money, on both pages.
	never := map[string][]string{
		none: {"arrived nevertheless", "on its way", "looked into", "look into", "is refunded",
			"has been refunded", "is kept"},
		failed: {"has arrived", "on its way", "looked into", "look into", "is refunded", "has been refunded",
			"is kept", "Waiting for"},
		coming:  {"Nothing was charged", "Nothing has been paid", "has been paid yet", "look into", "looked into"},
		applied: {"Nothing was charged", "Nothing has been paid", "not paid for", "on its way", "did not go through"},
		back: {"Nothing was charged", "Nothing has been paid", "not paid for", "on its way", "is kept",
			"did not go through", "look into"},
		gone: {"Nothing was charged", "Nothing has been paid", "not paid for", "on its way", "is kept",
			"did not go through", "look into"},
		parked: {"Nothing was charged", "Nothing has been paid", "not paid for", "on its way", "is kept",
			"is refunded automatically", "free of charge", "did not go through"},
	}
	headlines := map[string]string{
		"confirmed": "Your booking is confirmed", "cancelled": "This booking was cancelled",
		"completed": "Your booking is completed", "no_show": "Marked as no-show",
	}
	seen := 0
	for _, status := range []string{"pending", "confirmed", "cancelled", "completed", "no_show", "expired"} {
		for _, p := range payments {
			name := fmt.Sprintf("%s, %s (%s)", status, p.status, p.set)
			for _, query := range []string{
				`DELETE FROM booking_platform.payments`,
				`UPDATE booking_platform.bookings SET status = '` + status + `', refund_minor = ` +
					map[bool]string{true: "1500", false: "NULL"}[status == "cancelled" && p.money != coming] +
					`, hold_expires_at = statement_timestamp() + interval '1 hour'`,
			} {
				_, err := h.db.Exec(query)
				require.NoError(t, err, name)
			}
			if p.status != "" {
				_, err := h.db.Exec(`INSERT INTO booking_platform.payments (id, booking_id, amount_minor, currency, parameters, session_expires_at, checkout_url)
					SELECT gen_random_uuid(), id, 2500, 'eur', '{}', statement_timestamp() + interval '1 hour', 'https://pay.example.com' FROM booking_platform.bookings`)
				require.NoError(t, err, name)
				_, err = h.db.Exec(`UPDATE booking_platform.payments SET ` + p.set)
				require.NoError(t, err, name)
			}
			var v struct {
				Status       string
				Refund       *int64
				Payment      *struct{ Status string }
				Cancellation terms
			}
			ada.get("/api/bookings/"+b.ID+"?token="+b.Token).into(t, &v)
			require.Equal(t, status, v.Status, name)
			if p.status != "" {
				require.Equal(t, p.status, v.Payment.Status, name)
			} else {
				require.Nil(t, v.Payment, name)
			}
			page := ada.get("/success?booking=" + b.ID + "&token=" + b.Token)
			require.Equal(t, http.StatusOK, page.status, name)
			said := wordsOf(page.body)
			asked := wordsOf(ada.get("/booking/cancel?booking=" + b.ID + "&token=" + b.Token).body)
			require.Contains(t, said, headlines[status], name)
			for _, words := range []string{said, asked} {
				for _, phrase := range never[p.money] {
					// A payment of a moment ago may not be known yet.
					words = strings.ReplaceAll(words, "If you have just paid", "")
					require.NotContains(t, words, phrase, "%s\n%s\n%s", name, said, asked)
				}
				for phrase, other := range map[string]string{
					"free of charge": "is kept,", "has been refunded": "is refunded to you",
					"nothing is refunded": "is refunded to you", "has arrived": "did not arrive",
				} {
					require.False(t, p.money != applied && strings.Contains(words, phrase) &&
						strings.Contains(words, other), "%s: %q and %q\n%s", name, phrase, other, words)
				}
			}
			// The link to pay and the refresh are shown only while paying is possible.
			require.Equal(t, status == "pending" && p.status == "open",
				strings.Contains(page.body, "https://pay.example.com"), name)
			waits := status == "pending" && p.money == none || (status == "pending" || status == "expired") &&
				p.money == applied
			require.Equal(t, waits, strings.Contains(page.body, "http-equiv"), name)
			require.Equal(t, p.money == parked, strings.Contains(said, "look into it") ||
				strings.Contains(said, "looked into"), "%s\n%s", name, said)

			// The API promises a refund only of money that pays, or will pay, for the
			// booking.
			counts := p.money == applied || p.money == coming
			if !counts {
				require.Zero(t, v.Cancellation.Fee, name)
				require.Zero(t, v.Cancellation.Refund, name)
			}
			if v.Refund != nil && !counts {
				require.Zero(t, *v.Refund, name)
			}
			require.Equal(t, v.Cancellation.Allowed, strings.Contains(asked, "Yes, cancel it"), "%s\n%s", name, asked)
			require.Equal(t, status == "pending" || status == "confirmed", v.Cancellation.Allowed, name)
			seen++
		}
	}
	require.Equal(t, 6*len(payments), seen)
}

type contested struct {
	Status  string
	Refund  *int64
	Payment struct {
		Status      string
		RefundsWait string
		AmountLost  int64
	}
	Cancellation *terms
}

func (c *client) contested(b created) (v contested) {
	c.t.Helper()
	c.get("/api/bookings/"+b.ID+"?token="+b.Token).into(c.t, &v)
	return v
}

// M8: No refund is promised while a dispute is open; afterwards what is refunded is
// shown.
func TestTerms_DisputedPayment(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		dispute stripetest.NewDispute
		end     stripetest.DisputeStatus
		refund  int64
		says    string
	}{
		{"won", stripetest.NewDispute{}, stripetest.DisputeWon, 2500, "is refunded"},
		{"lost", stripetest.NewDispute{}, stripetest.DisputeLost, 0, "nothing more is refunded"},
		{"a part lost", stripetest.NewDispute{Amount: 1000}, stripetest.DisputeLost, 1500, "is refunded by us"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := startHost(t, many)
			h.policyResources()
			ada := h.client()
			b := ada.book("free", day(9), true)
			require.EqualValues(t, 2500, ada.contested(b).Cancellation.Refund)
			_, err := h.StripeFake().OpenDispute(b.StripeSessionID, test.dispute)
			require.NoError(t, err)
			require.NoError(t, h.StripeFake().WaitDelivered(t.Context()))

			const why = "Your bank is looking into this payment: nothing is refunded until that is decided."
			page := "/success?booking=" + b.ID + "&token=" + b.Token
			v := ada.contested(b)
			require.Equal(t, "disputed", v.Payment.Status)
			require.Equal(t, "disputed", v.Payment.RefundsWait)
			require.Zero(t, v.Cancellation.Refund)
			require.True(t, v.Cancellation.Allowed)
			require.Contains(t, ada.get(page).body, why)
			require.Contains(t, ada.get("/booking/cancel?booking="+b.ID+"&token="+b.Token).body, why)

			c := ada.act(b, "cancel", nil).changed(t)
			require.Equal(t, "cancelled", c.Status)
			require.Zero(t, *c.Refund)
			require.Contains(t, ada.get(page).body, why)

			_, err = h.StripeFake().CloseDispute(b.StripeSessionID, test.end == stripetest.DisputeWon)
			require.NoError(t, err)
			require.NoError(t, h.StripeFake().WaitDelivered(t.Context()))
			v = ada.contested(b)
			require.Empty(t, v.Payment.RefundsWait)
			require.Equal(t, test.refund, *v.Refund)
			require.Equal(t, 2500-test.refund, v.Payment.AmountLost)
			require.Contains(t, ada.get(page).body, test.says)
			require.Eventually(t, func() bool { return h.StripeFake().Balance()["eur"].Refunded == test.refund },
				30*time.Second, 50*time.Millisecond)
		})
	}
}

// M22: While a bank debit is processing, the policy's terms apply to the money that
// arrives.
func TestTerms_PaymentProcessing(t *testing.T) {
	t.Parallel()
	h := startHost(t, many)
	h.policyResources()
	ada := h.client()
	begin := func(room string) created {
		b := ada.book(room, day(9), false)
		_, err := h.StripeFake().PayDelayed(t.Context(), b.StripeSessionID)
		require.NoError(t, err)
		require.NoError(t, h.StripeFake().WaitDelivered(t.Context()))
		return b
	}
	never := begin("never")
	require.False(t, ada.contested(never).Cancellation.Allowed)
	ada.act(never, "cancel", nil).refused(t, "not_allowed_by_policy")

	half := begin("half")
	v := ada.contested(half)
	require.Equal(t, []int64{1250, 1250}, []int64{v.Cancellation.Fee, v.Cancellation.Refund})
	page := "/success?booking=" + half.ID + "&token=" + half.Token
	const divided = "EUR 12.50 of EUR 25.00 is kept, and EUR 12.50 is refunded."
	require.Contains(t, ada.get(page).body, divided)
	require.Nil(t, ada.act(half, "cancel", nil).changed(t).Refund, "nothing has come yet")
	require.Contains(t, ada.get(page).body, "Your payment is still on its way. When it has arrived: "+divided)
	_, err := h.StripeFake().SettlePayment(half.StripeSessionID)
	require.NoError(t, err)
	require.NoError(t, h.StripeFake().WaitDelivered(t.Context()))
	require.EqualValues(t, 1250, *ada.contested(half).Refund)
	require.Contains(t, ada.get(page).body, divided)
	require.Eventually(t, func() bool { return h.StripeFake().Balance()["eur"].Refunded == 1250 }, 30*time.Second,
		50*time.Millisecond)
}

// M7.
func TestPaymentShow_Disputes(t *testing.T) {
	t.Parallel()
	env := map[string]string{"DATABASE_URL": testdb.URL(t), "DATA_DIR": t.TempDir()}
	h := startHost(t, env)
	h.policyResources()
	b := h.client().book("free", day(9), true)
	for range 2 {
		_, err := h.StripeFake().OpenDispute(b.StripeSessionID, stripetest.NewDispute{Amount: 1000})
		require.NoError(t, err)
		_, err = h.StripeFake().CloseDispute(b.StripeSessionID, false)
		require.NoError(t, err)
	}
	require.NoError(t, h.StripeFake().WaitDelivered(t.Context()))
	var shown struct {
		Status   string
		Lost     int64
		Disputes []struct{ ID, Status, Outcome string }
	}
	status, stdout, stderr := command(t, env, "payment", "show", "--json", b.ID)
	require.Equal(t, 0, status, stderr)
	require.NoError(t, json.Unmarshal([]byte(stdout), &shown))
	require.Equal(t, "dispute_lost", shown.Status)
	require.EqualValues(t, 2000, shown.Lost)
	require.Len(t, shown.Disputes, 2)
	require.Equal(t, "lost", shown.Disputes[0].Status)
	require.Equal(t, "lost", shown.Disputes[0].Outcome)
}
