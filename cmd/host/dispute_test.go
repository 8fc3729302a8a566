package main_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// contested is what the API says of a booking whose payment is disputed.
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

// M8: page and API promise no refund while a dispute is open, and say why; after it they
// say what goes back.
func TestCancel_DisputedPayment(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		dispute stripetest.NewDispute
		end     stripetest.DisputeStatus
		refund  int64
		says    string
	}{
		{"won", stripetest.NewDispute{}, stripetest.DisputeWon, 2500, "is given back"},
		{"lost", stripetest.NewDispute{}, stripetest.DisputeLost, 0, "nothing more is given back"},
		{"a part lost", stripetest.NewDispute{Amount: 1000}, stripetest.DisputeLost, 1500, "is given back by us"},
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

			const why = "Your bank is looking into this payment: nothing is given back until that is decided."
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

// M22: while a bank debit is under way the API and the page tell the policy's terms, and
// the money that comes is divided by them.
func TestCancel_WhileTheBankIsAtWork(t *testing.T) {
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
	const divided = "EUR 12.50 of EUR 25.00 is kept, and EUR 12.50 is given back."
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

// M7: host payment show lists every dispute.
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
