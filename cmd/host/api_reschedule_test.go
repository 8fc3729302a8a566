package main_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
)

// A hold is moved, paid for, and moved by staff; the history has the actors.
func TestAPIReschedule_HoldAndBooking(t *testing.T) {
	t.Parallel()
	h := startHost(t, many)
	ada, bob, admin := h.client(), h.client(), h.admin()
	start := mustTime(t, ada.slot(0))
	later, evening := start.Add(time.Hour), start.Add(5*time.Hour)
	b := ada.book("studio", start, false)
	taken := bob.book("studio", evening, false)

	c := ada.act(b, "reschedule", m{"start": later, "reason": "a later train"}).changed(t)
	require.True(t, later.Equal(mustTime(t, c.Start)))
	require.True(t, later.Add(time.Hour).Equal(mustTime(t, c.End)))
	require.Equal(t, "pending", c.Status)
	require.Zero(t, *c.Difference)
	require.Equal(t, "open", c.Payment.Status)
	require.Equal(t, c, ada.act(b, "reschedule", m{"start": later}).changed(t), "once more does no harm")
	require.True(t, start.Equal(mustTime(t, ada.slot(0))), "the old time is free again")

	ada.act(b, "reschedule", m{"start": evening}).refused(t, "slot_taken")
	require.True(t, later.Equal(mustTime(t, ada.get("/api/bookings/"+b.ID+"?token="+b.Token).changed(t).Start)),
		"nothing has changed")

	// The Checkout Session and the booking keep their amount; the difference is reported.
	studio, err := h.Bookings().Resource(t.Context(), "studio")
	require.NoError(t, err)
	studio.Price.Minor = 3000
	_, err = h.Bookings().ApplyResource(t.Context(), studio, booking.ApplyOptions{})
	require.NoError(t, err)
	zone, err := time.LoadLocation(studio.TimeZone)
	require.NoError(t, err)
	c = ada.act(b, "reschedule", m{"date": start.In(zone).Format(time.DateOnly),
		"time": start.In(zone).Format("15:04")}).changed(t)
	require.True(t, start.Equal(mustTime(t, c.Start)))
	require.EqualValues(t, 500, *c.Difference)
	require.EqualValues(t, 2500, c.Amount)
	_, err = h.StripeFake().Pay(t.Context(), b.StripeSessionID)
	require.NoError(t, err)

	path := "/api/bookings/" + b.ID + "/reschedule"
	require.Equal(t, http.StatusUnauthorized, bob.post(path, m{"start": later}).status)
	require.Equal(t, http.StatusNotFound, bob.post(path+"?token="+taken.Token, m{"start": later}).status,
		"only one's own")
	c = admin.post(path, m{"start": later, "reason": "the piano is tuned"}).changed(t)
	require.Equal(t, "confirmed", c.Status)
	require.EqualValues(t, 2500, c.Payment.AmountPaid)

	changes, err := h.Bookings().History(t.Context(), b.ID)
	require.NoError(t, err)
	var told []string
	for _, c := range changes {
		told = append(told, string(c.To)+" by "+c.Actor+": "+c.Reason)
	}
	event := h.StripeFake().Events()[0].ID
	require.Equal(t, []string{
		"pending by customer: ", "pending by customer: a later train", "pending by customer: ",
		"confirmed by stripe:" + event + ": ",
		"confirmed by user:" + adminEmail + ": the piano is tuned",
	}, told)

	require.Equal(t, http.StatusOK, bob.act(taken, "cancel", nil).status)
	bob.act(taken, "reschedule", m{"start": start}).refused(t, "status_cancelled")
	require.Equal(t, http.StatusNotFound,
		admin.post("/api/bookings/01936f4e-0000-7000-8000-000000000001/reschedule", m{"start": start}).status)
	for role, status := range map[string]int{"READONLY": 403, "OPS": 200} {
		_, err := h.db.Exec(`UPDATE booking_platform.users SET role = $1`, role)
		require.NoError(t, err)
		require.Equal(t, status, admin.post(path, m{"start": later}).status, role)
		require.Equal(t, status, admin.post("/api/bookings/"+b.ID+"/renew-link", nil).status, role)
	}
}

func TestAPIAvailability_OfOffer(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	h.addResource(booking.Resource{
		Slug: "court", Name: "Court", Capacity: 4, TimeZone: "Asia/Kathmandu", Horizon: 60 * 24 * time.Hour,
		Notice: 10 * 24 * time.Hour,
		Offers: []booking.Offer{{Slug: "short", Name: "Half an hour", SlotLength: 30 * time.Minute,
			Price: booking.Money{Minor: 700, Currency: "eur"}}},
	})
	ada := h.client()
	from := time.Now().AddDate(0, 0, 15).Format(time.DateOnly)
	type slot struct {
		Start, End string
		Remaining  int
	}
	var slots struct{ Items []slot }
	ada.get("/api/resources/court/availability?offer=short&party=2&from="+from+"&to="+from).into(t, &slots)
	require.Len(t, slots.Items, 48)
	require.Equal(t, slot{from + "T00:30:00+05:45", from + "T01:00:00+05:45", 4}, slots.Items[1])
	ada.get("/api/resources/court/availability?from="+from+"&to="+from).into(t, &slots)
	require.Len(t, slots.Items, 24)

	var next slot
	a := ada.get("/api/resources/court/next?offer=short&party=4&after=" + from)
	require.Equal(t, http.StatusOK, a.status, a.body)
	a.into(t, &next)
	require.Equal(t, slot{from + "T00:00:00+05:45", from + "T00:30:00+05:45", 4}, next)
	ada.get("/api/resources/court/next?after="+from+"T00:00:01%2B05:45").into(t, &next)
	require.Equal(t, from+"T01:00:00+05:45", next.Start)
	ada.get("/api/resources/court/next").into(t, &next)
	require.WithinDuration(t, time.Now().AddDate(0, 0, 10), mustTime(t, next.Start), 2*time.Hour)
	for _, query := range []string{"party=5", "after=" + time.Now().AddDate(1, 0, 0).Format(time.DateOnly)} {
		a := ada.get("/api/resources/court/next?" + query)
		require.Equal(t, http.StatusNotFound, a.status, query)
		code, _ := a.code(t)
		require.Equal(t, "no_slot", code, query)
	}

	// The page shows the times of the selected offer, and the next one if a week has
	// none.
	require.Contains(t, ada.get("/?resource=court&offer=short&from="+from).body, "00:30")
	require.NotContains(t, ada.get("/?resource=court&from="+from).body, "00:30")
	require.Contains(t, ada.get("/?resource=court").body, "The next free time is")
}
