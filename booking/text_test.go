package booking_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// M30: no text that is shown holds what hides or reorders text, wherever it enters.
func TestText_HidesOrReorders(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store)
	b := hold(t, store, request(slot(0)))
	before := everything(t, db)
	ctx := t.Context()
	for _, bad := range []string{"a\u202eb", "a\u2066b", "a\u2028b", "a\u2029b", "a\u200bb", "\ufeffab", "a\u00adb",
		"a\u200fb", "A\u200dB"} {
		for field, change := range map[string]func(*booking.HoldRequest){
			"firstName": func(r *booking.HoldRequest) { r.Customer.FirstName = bad },
			"lastName":  func(r *booking.HoldRequest) { r.Customer.LastName = bad },
			"email":     func(r *booking.HoldRequest) { r.Customer.Email = bad + "@example.com" },
			"reference": func(r *booking.HoldRequest) { r.Reference = bad },
		} {
			req := request(slot(1))
			change(&req)
			_, err := store.Hold(ctx, req)
			requireFields(t, err, field)
		}
		for field, change := range map[string]func(*booking.Resource){
			"name":        func(r *booking.Resource) { r.Name = bad },
			"description": func(r *booking.Resource) { r.Description = "one\n" + bad },
			"offers": func(r *booking.Resource) {
				r.Offers = []booking.Offer{{Slug: "long", Name: bad, SlotLength: time.Hour}}
			},
		} {
			r := court()
			r.Slug = "other"
			change(&r)
			requireFields(t, r.Validate(), field)
			_, err := store.CreateResource(ctx, r)
			requireFields(t, err, field)
			_, err = store.ApplyResource(ctx, r, booking.ApplyOptions{})
			requireFields(t, err, field)
		}
		_, err := store.Cancel(ctx, booking.CancelRequest{ID: b.ID, Reason: bad})
		requireFields(t, err, "reason")
		_, err = store.Reschedule(ctx, booking.RescheduleRequest{ID: b.ID, Start: slot(5), Reason: bad})
		requireFields(t, err, "reason")
		_, err = store.Block(ctx, booking.BlockRequest{Resource: "court", From: slot(7), To: slot(8), Reason: bad})
		requireFields(t, err, "reason")
	}
	for _, blank := range []string{"\u200b", "\u2060\u200d", "\u3164", "\u2800", "\u00a0", "\u0301"} {
		req := request(slot(1))
		req.Customer.FirstName = blank
		_, err := store.Hold(ctx, req)
		requireFields(t, err, "firstName")
		r := court()
		r.Name = blank
		requireFields(t, r.Validate(), "name")
	}
	require.Equal(t, before, everything(t, db))
	require.Equal(t, "user:ada", booking.Actor(booking.WithActor(ctx, "user:\u202eada\u2028")))

	for n, name := range []string{"محمد", "שָׁלוֹם", "علی\u200cرضا", "क्\u200dष", "Zoe\u0308", "👩‍👩‍👧‍👦", "山田"} {
		req := request(slot(n + 10))
		req.Customer = booking.Customer{FirstName: name, LastName: name, Email: "ada@example.com"}
		require.Equal(t, name, hold(t, store, req).Customer.FirstName)
	}
}
