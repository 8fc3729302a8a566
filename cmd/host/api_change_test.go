package main_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
)

type terms struct {
	Allowed          bool
	FreeUntil, Until *time.Time
	Fee, Refund      int64
}

type changed struct {
	shown
	Refund, Difference *int64
	Cancellation       *terms
}

// day is a time of day three days ahead, in UTC.
func day(hour int) time.Time {
	return time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, 3).Add(time.Duration(hour) * time.Hour)
}

func (c *client) book(resource string, start time.Time, paid bool) created {
	c.t.Helper()
	a := c.post("/api/bookings", wish(start.Format(time.RFC3339), m{"resource": resource}))
	require.Equal(c.t, http.StatusCreated, a.status, a.body)
	var b created
	a.into(c.t, &b)
	if paid {
		_, err := c.StripeFake().Pay(c.t.Context(), b.StripeSessionID)
		require.NoError(c.t, err)
	}
	return b
}

func (c *client) act(b created, what string, body any) answer {
	c.t.Helper()
	return c.post("/api/bookings/"+b.ID+"/"+what, body, "Authorization", "Bearer "+b.Token)
}

// refused requires a 409.
func (a answer) refused(t *testing.T, code string) {
	t.Helper()
	require.Equal(t, http.StatusConflict, a.status, a.body)
	got, _ := a.code(t)
	require.Equal(t, code, got)
}

func (a answer) changed(t *testing.T) (c changed) {
	t.Helper()
	require.Equal(t, http.StatusOK, a.status, a.body)
	a.into(t, &c)
	return c
}

// policyResources adds resources with policies.
func (r *running) policyResources() {
	r.t.Helper()
	price := booking.Money{Minor: 2500, Currency: "eur"}
	for slug, policy := range map[string]booking.Policy{
		"free": {}, "never": {Never: true}, "fee": {FreeUntil: 30 * 24 * time.Hour, FeePercent: 100},
		"half": {FreeUntil: 30 * 24 * time.Hour, ClosedFrom: time.Hour, FeePercent: 50},
	} {
		r.addResource(booking.Resource{Slug: slug, Name: slug, Capacity: 5, Price: price, Policy: policy})
	}
}

// Cancelling gives what the booking's terms promise.
func TestAPICancel_Policy(t *testing.T) {
	t.Parallel()
	h := startHost(t, many)
	h.policyResources()
	ada, admin := h.client(), h.admin()
	show := func(b created) changed { return ada.get("/api/bookings/" + b.ID + "?token=" + b.Token).changed(t) }

	// Giving up a hold is free, whatever the policy.
	held := ada.book("never", day(8), false)
	require.Equal(t, &terms{Allowed: true}, show(held).Cancellation)
	c := ada.act(held, "cancel", m{"reason": "I am ill"}).changed(t)
	require.Equal(t, "cancelled", c.Status)
	require.Nil(t, c.Refund)
	require.Equal(t, &terms{}, c.Cancellation, "it is over")
	require.Equal(t, "cancelled", ada.act(held, "cancel", nil).changed(t).Status, "once more does no harm")

	never := ada.book("never", day(9), true)
	require.Equal(t, &terms{Fee: 2500}, show(never).Cancellation)
	ada.act(never, "cancel", nil).refused(t, "not_allowed_by_policy")
	ada.act(never, "reschedule", m{"start": day(12)}).refused(t, "not_allowed_by_policy")
	require.Equal(t, "confirmed", show(never).Status)

	// A booking with a fee of 100 % can be cancelled.
	fee := ada.book("fee", day(9), true)
	end := day(9)
	free := end.AddDate(0, 0, -30)
	before := show(fee)
	require.Equal(t, int64(2500), before.Cancellation.Fee)
	require.True(t, free.Equal(*before.Cancellation.FreeUntil) && end.Equal(*before.Cancellation.Until),
		before.Cancellation)
	require.Nil(t, before.Refund)
	c = ada.act(fee, "cancel", nil).changed(t)
	require.Equal(t, "cancelled", c.Status)
	require.Zero(t, *c.Refund)
	require.Equal(t, "paid", c.Payment.Status)
	page := ada.get("/success?session_id=" + fee.StripeSessionID)
	require.Contains(t, page.body, "This booking was cancelled")
	require.Contains(t, page.body, "EUR 25.00, is kept")

	// Refunds follow automatically: by the policy for customers, in full for staff.
	half := ada.book("half", day(9), true)
	require.Equal(t, int64(1250), show(half).Cancellation.Refund)
	require.Equal(t, int64(1250), show(half).Cancellation.Fee)
	require.Equal(t, int64(1250), *ada.act(half, "cancel", nil).changed(t).Refund)
	whole := ada.book("never", day(10), true)
	require.Equal(t, int64(2500), *admin.post("/api/bookings/"+whole.ID+"/cancel", nil).changed(t).Refund)
	for _, w := range []struct {
		booking created
		refund  int64
		status  string
		words   string
	}{
		{half, 1250, "partially_refunded", "EUR 12.50 is refunded"},
		{whole, 2500, "refunded", "The whole price, EUR 25.00, is refunded"},
	} {
		eventually(t, "the money has gone back", func() bool { return show(w.booking).Payment.Status == w.status })
		require.Equal(t, w.refund, show(w.booking).Payment.AmountRefunded)
		require.Contains(t, ada.get("/success?session_id="+w.booking.StripeSessionID).body, w.words)
	}
	require.Equal(t, int64(3750), h.StripeFake().Balance()["eur"].Refunded)

	// The policy does not bind staff for free bookings, either.
	h.addResource(booking.Resource{Slug: "talk", Name: "Talk", Policy: booking.Policy{Never: true}})
	talk := ada.book("talk", day(9), false)
	require.Equal(t, "confirmed", talk.Status)
	ada.act(talk, "cancel", nil).refused(t, "not_allowed_by_policy")
	c = admin.post("/api/bookings/"+talk.ID+"/cancel", m{"reason": "the speaker is ill"}).changed(t)
	require.Equal(t, "cancelled", c.Status)
	changes, err := h.Bookings().History(t.Context(), talk.ID)
	require.NoError(t, err)
	last := changes[len(changes)-1]
	require.Equal(t, "user:"+adminEmail, last.Actor)
	require.Equal(t, "the speaker is ill", last.Reason)

	_, err = h.db.Exec(`UPDATE booking_platform.bookings SET status = 'no_show' WHERE id = $1::uuid`, never.ID)
	require.NoError(t, err)
	ada.act(never, "cancel", nil).refused(t, "status_no_show")
	ada.act(never, "reschedule", m{"start": day(12)}).refused(t, "status_no_show")
}

// Whichever comes first, all of the money is refunded once.
func TestAPICancel_WhilePaymentArrives(t *testing.T) {
	t.Parallel()
	for name, moneyFirst := range map[string]bool{"money first": true, "cancel first": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := startHost(t, nil)
			ada := h.client()
			b := ada.book("studio", mustTime(t, ada.slot(0)), false)
			lock, err := h.db.Begin()
			require.NoError(t, err)
			_, err = lock.Exec(`SELECT FROM booking_platform.bookings b WHERE b.id = $1::uuid FOR UPDATE`, b.ID)
			require.NoError(t, err)
			waiting := func(n int) {
				eventually(t, "waits", func() bool {
					var all int
					err := h.db.QueryRow(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&all)
					return err == nil && all == n
				})
			}
			paid, cancelled := make(chan error, 1), make(chan answer, 1)
			pay := func() { _, err := h.StripeFake().Pay(t.Context(), b.StripeSessionID); paid <- err }
			cancel := func() { cancelled <- ada.act(b, "cancel", nil) }
			if moneyFirst {
				go pay()
				waiting(1)
				go cancel()
			} else {
				go cancel()
				waiting(1)
				go pay()
			}
			waiting(2)
			require.NoError(t, lock.Commit())
			a := <-cancelled
			require.NoError(t, <-paid)

			require.Equal(t, http.StatusOK, a.status, a.body)
			show := func() changed { return ada.get("/api/bookings/" + b.ID + "?token=" + b.Token).changed(t) }
			require.EqualValues(t, 2500, show().Payment.AmountPaid)
			require.Equal(t, "cancelled", show().Status)
			eventually(t, "the money has gone back", func() bool { return show().Payment.Status == "refunded" })
			require.Len(t, h.StripeFake().Refunds(), 1)
			var causes, unapplied string
			require.NoError(t, h.db.QueryRow(`
				SELECT string_agg(r.cause, ' '), max(p.unapplied) FROM booking_platform.payments p JOIN booking_platform.refunds r ON r.payment_id = p.id
				WHERE p.booking_id = $1::uuid`, b.ID).Scan(&causes, &unapplied))
			if moneyFirst {
				require.Equal(t, payments.CauseCancelled, causes)
				require.Empty(t, unapplied)
				return
			}
			require.Equal(t, payments.ReasonCancelled, causes)
			require.Equal(t, payments.ReasonCancelled, unapplied)
			require.Regexp(t, `All of it, EUR 25.00, (is|has been) refunded to you`,
				ada.get("/success?session_id="+b.StripeSessionID).body)
		})
	}
}

// A hold with a delayed or parked payment can be cancelled; what arrives later is
// refunded.
func TestAPICancel_PaymentProcessing(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	ada := h.client()
	for facts, status := range map[string]string{
		"completed = true": "processing",
		"completed = true, parked = true, parked_reason = 'amount_differs', captured_minor = 1, captured_currency = 'eur'": "parked",
	} {
		b := ada.book("studio", mustTime(t, ada.slot(0)), false)
		_, err := h.db.Exec(`UPDATE booking_platform.payments SET `+facts+` WHERE booking_id = $1::uuid`, b.ID)
		require.NoError(t, err)
		page := ada.get("/success?booking=" + b.ID + "&token=" + b.Token)
		require.Equal(t, status == "processing",
			strings.Contains(page.body, "all of it is refunded as soon as it has arrived"))
		require.Regexp(t, cancelLink, page.body)
		c := ada.act(b, "cancel", nil).changed(t)
		require.Equal(t, "cancelled", c.Status)
		require.Nil(t, c.Refund)
		require.Equal(t, status, c.Payment.Status)
	}
}

func TestAPICancel_ExpiresCheckoutSession(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	ada := h.client()
	b := ada.book("studio", mustTime(t, ada.slot(0)), false)
	require.Equal(t, http.StatusOK, ada.act(b, "cancel", nil).status)
	eventually(t, "the session has expired", func() bool {
		s, err := h.StripeFake().Session(b.StripeSessionID)
		require.NoError(t, err)
		return s.Status == "expired"
	})
}

// Unknown fields are refused by name, and nothing changes.
func TestAPIChange_InvalidRequests(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	ada := h.client()
	start := mustTime(t, ada.slot(0))
	b := ada.book("studio", start, false)
	later := start.Add(time.Hour).Format(time.RFC3339)
	for name, w := range map[string]struct {
		route  string
		body   m
		fields []string
	}{
		"reason of another type": {"cancel", m{"reason": 1}, []string{"reason"}},
		"reason too long":        {"cancel", m{"reason": strings.Repeat("x", 501)}, []string{"reason"}},
		"reason with a NUL":      {"cancel", m{"reason": "\x00"}, []string{"reason"}},
		"refund is ours to say":  {"cancel", m{"refund": 2500}, []string{"refund"}},
		"status, owner, price": {"cancel", m{"status": "confirmed", "email": "eve@example.com", "amount": 0},
			[]string{"status", "email", "amount"}},
		"all of it": {"cancel", m{"reason": strings.Repeat("x", 501), "byCustomer": false},
			[]string{"reason", "byCustomer"}},
		"no start":              {"reschedule", m{}, []string{"start"}},
		"start broken":          {"reschedule", m{"start": "x"}, []string{"start"}},
		"start of another type": {"reschedule", m{"start": 1}, []string{"start"}},
		"no slot": {"reschedule", m{"start": start.Add(time.Minute).Format(time.RFC3339)},
			[]string{"start"}},
		"too far ahead": {"reschedule", m{"start": start.AddDate(3, 0, 0).Format(time.RFC3339)},
			[]string{"start"}},
		"start and date":         {"reschedule", m{"start": later, "date": "2026-12-01"}, []string{"start"}},
		"a time that is no time": {"reschedule", m{"date": "2026-12-01", "time": "x"}, []string{"time"}},
		"price": {"reschedule", m{"start": later, "amount": 1, "difference": 0},
			[]string{"amount", "difference"}},
		"another resource": {"reschedule", m{"start": later, "resource": "other", "party": 2},
			[]string{"resource", "party"}},
		"everything": {"reschedule", m{"time": true, "reason": strings.Repeat("x", 501), "x": 1},
			[]string{"time", "reason", "x"}},
		"reason": {"reschedule", m{"start": later, "reason": "\x00"}, []string{"reason"}},
	} {
		a := ada.act(b, w.route, w.body)
		require.Equal(t, http.StatusBadRequest, a.status, "%s: %s", name, a.body)
		code, fields := a.code(t)
		require.Equal(t, "validation_failed", code, name)
		require.ElementsMatch(t, w.fields, keys(fields), "%s: %v", name, fields)
	}
	owner := []string{"Authorization", "Bearer " + b.Token}
	for _, route := range []string{"cancel", "reschedule"} {
		for _, w := range []struct {
			contentType, body string
			status            int
		}{
			{"application/x-www-form-urlencoded", "reason=x", 415}, {"application/json", "[]", 400},
			{"application/json", "{", 400}, {"application/json", "\xff", 400},
			{"application/json", `{"reason":"` + strings.Repeat("x", 64<<10) + `"}`, 413},
		} {
			a := ada.do(http.MethodPost, "/api/bookings/"+b.ID+"/"+route, w.contentType, strings.NewReader(w.body),
				owner...)
			require.Equal(t, w.status, a.status, a.body)
		}
	}
	require.Equal(t, http.StatusUnsupportedMediaType,
		ada.do(http.MethodPost, "/api/bookings/"+b.ID+"/reschedule", "", nil, owner...).status)
	c := ada.get("/api/bookings/" + b.ID + "?token=" + b.Token).changed(t)
	require.Equal(t, "pending", c.Status)
	require.True(t, start.Equal(mustTime(t, c.Start)))
	require.Equal(t, http.StatusOK, ada.do(http.MethodPost, "/api/bookings/"+b.ID+"/cancel", "", nil, owner...).status,
		"it needs no body")
}
