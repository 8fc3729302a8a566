package main_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	bookingpages "github.com/booking-platform/booking-platform/pages"
)

// The customer reads what was chosen and what a cancellation costs before paying.
func TestCheckoutTexts_OfferAndTerms(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	r, err := h.Bookings().CreateResource(t.Context(), booking.Resource{
		Slug: "court", Name: "Court", TimeZone: "Europe/Paris", SlotLength: time.Hour,
		Price:  booking.Money{Minor: 2500, Currency: "eur"},
		Offers: []booking.Offer{{Slug: "lesson", Name: "Lesson", Price: booking.Money{Minor: 4000}}},
		Policy: booking.Policy{FreeUntil: 24 * time.Hour, FeePercent: 50, FeeMinor: 500},
	})
	require.NoError(t, err)
	var b created
	start := time.Now().UTC().Truncate(24 * time.Hour).Add(72 * time.Hour)
	h.client().post("/api/bookings", map[string]any{"resource": "court", "offer": "lesson", "start": start,
		"firstName": "Ada", "lastName": "Lovelace", "email": "ada@example.com"}).into(t, &b)
	s, err := h.StripeFake().Session(b.StripeSessionID)
	require.NoError(t, err)
	require.Equal(t, "Court, Lesson", s.LineItems[0].Name)
	require.Contains(t, s.Parameters.Get("custom_text[submit][message]"), "EUR 25.00 of EUR 40.00 is kept.")

	zone, err := r.Zone()
	require.NoError(t, err)
	hold := booking.Booking{Kind: booking.KindBooking, Status: booking.StatusPending, Start: start,
		Amount: booking.Money{Minor: 2500, Currency: "eur"}}
	for want, policy := range map[string]booking.Policy{
		"This booking can be neither cancelled nor moved.":          {Never: true},
		"You may cancel free of charge until ":                      {FreeUntil: time.Hour, ClosedFrom: time.Hour},
		"It is too late to cancel this booking: that was possible ": {FreeUntil: 720 * time.Hour, ClosedFrom: 720 * time.Hour},
		"EUR 5.00 of EUR 25.00 is kept, and EUR 20.00 is refunded.": {FreeUntil: 720 * time.Hour, FeeMinor: 500},
	} {
		hold.Policy = policy
		require.Contains(t, bookingpages.CancellationTerms(hold, zone, time.Now()), want)
	}
	hold.Status = booking.StatusCancelled
	require.Empty(t, bookingpages.CancellationTerms(hold, zone, time.Now()))
}
