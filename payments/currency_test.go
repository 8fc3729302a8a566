package payments_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// M4: what Stripe is asked to charge, what it reports and what goes back are in its unit,
// in every kind of currency. The amounts are written down by hand from
// https://docs.stripe.com/currencies.
func TestCheckout_AmountsInStripesUnit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	for n, c := range []struct {
		currency, price string
		unit            int64 // what Stripe gets
		fee             int64 // a third of it, as Stripe can refund the rest
		wrong           int64 // a part that cannot be refunded; 0: there is none
	}{
		{"ugx", "50000", 5000000, 1650000, 150}, {"isk", "2551", 255100, 84100, 50}, {"jpy", "2500", 2500, 825, 0},
		{"krw", "25000", 25000, 8250, 0},
		{"kwd", "18.610", 18610, 6140, 5}, {"huf", "1000.45", 100045, 33014, 0}, {"twd", "800.45", 80045, 26414, 0},
		{"eur", "25.00", 2500, 825, 0},
	} {
		price, err := booking.ParseMoney(c.price, c.currency)
		require.NoError(t, err)
		r, err := w.bookings.CreateResource(t.Context(), booking.Resource{
			Slug: "in-" + c.currency, Name: "Room", TimeZone: "UTC", SlotLength: time.Hour, Price: price,
			Policy: booking.Policy{FreeUntil: 300 * 24 * time.Hour, FeePercent: 33},
		})
		require.NoError(t, err)
		w.resource = r
		b := w.hold(n)
		checkout := w.checkout(b)
		session, err := w.stripe.Session(checkout.SessionID)
		require.NoError(t, err)
		require.Equal(t, c.unit, session.LineItems[0].UnitAmount, c.currency)
		require.Equal(t, c.unit, session.AmountTotal, c.currency)
		require.Equal(t, c.currency, session.Currency)
		_, err = w.stripe.Pay(t.Context(), session.ID)
		require.NoError(t, err)
		require.Equal(t, booking.Confirmed, w.status(b.ID), c.currency)
		p := w.payment(b.ID)
		require.Equal(t, payments.Paid, p.Status(), "what came is what was asked for")
		require.Equal(t, price, p.Captured)

		if c.wrong > 0 {
			_, err = w.payments.Refund(t.Context(),
				payments.RefundRequest{PaymentID: p.ID, Amount: c.wrong, Cause: "a part"})
			var invalid *booking.ValidationError
			require.ErrorAs(t, err, &invalid, c.currency)
			require.Contains(t, invalid.Fields, "amount")
		}
		cancelled, err := w.bookings.Get(t.Context(), b.ID)
		require.NoError(t, err)
		terms := cancelled.Terms(time.Now())
		require.Equal(t, c.fee, terms.Fee.Minor, c.currency)
		_, err = w.payments.Cancel(t.Context(), booking.CancelRequest{ID: b.ID, ByCustomer: true})
		require.NoError(t, err)
		w.settle(1)
		require.Equal(t, stripetest.Money{Captured: c.unit, Refunded: c.unit - c.fee}, w.stripe.Balance()[c.currency],
			c.currency)
	}
	w.requireBooks()
}
