package booking_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// The zero value of each struct that callers fill in works, or the error names the
// fields.
func TestZeroValues(t *testing.T) {
	t.Parallel()
	store, err := booking.New(testdb.New(t), booking.Options{})
	require.NoError(t, err, "Options")
	ctx := t.Context()
	create(t, store, func(r *booking.Resource) { r.Capacity = 9 })
	held := hold(t, store, request(slot(0)))
	apply := func(change func(*booking.Resource)) func() error {
		return func() error {
			r := court()
			r.Slug = "other"
			change(&r)
			_, err := store.ApplyResource(ctx, r, booking.ApplyOptions{})
			return err
		}
	}
	discard := func(_ any, err error) error { return err }

	for name, c := range map[string]struct {
		do func() error
		// fields are those of the expected ValidationError; none means that it works.
		fields []string
	}{
		"HoldRequest": {func() error { return discard(store.Hold(ctx, booking.HoldRequest{})) },
			[]string{"resource", "start", "firstName", "email"}},
		"HoldRequest, Check": {func() error { return store.Check(ctx, booking.HoldRequest{}) },
			[]string{"resource", "start", "firstName", "email"}},
		"Customer": {func() error {
			req := request(slot(1))
			req.Customer = booking.Customer{}
			return discard(store.Hold(ctx, req))
		}, []string{"firstName", "email"}},
		"BlockRequest": {func() error { return discard(store.Block(ctx, booking.BlockRequest{})) },
			[]string{"resource", "from", "to"}},
		"RescheduleRequest": {func() error {
			return discard(store.Reschedule(ctx, booking.RescheduleRequest{ID: held.ID}))
		}, []string{"start"}},
		"AvailabilityRequest": {func() error {
			return discard(store.Availability(ctx, booking.AvailabilityRequest{Resources: []string{"court"}}))
		}, []string{"from", "to"}},
		"NextSlotRequest": {func() error {
			return discard(store.NextSlot(ctx, booking.NextSlotRequest{Resource: "court"}))
		}, nil},
		"ListOptions":        {func() error { return discard(store.List(ctx, booking.ListOptions{})) }, nil},
		"ListOptions, Count": {func() error { return discard(store.Count(ctx, booking.ListOptions{})) }, nil},
		"Resource": {func() error {
			return discard(store.ApplyResource(ctx, booking.Resource{}, booking.ApplyOptions{}))
		}, []string{"slug", "name", "timeZone", "slotLength", "slotStep", "currency"}},
		"Resource, CreateResource": {func() error { return discard(store.CreateResource(ctx, booking.Resource{})) },
			[]string{"slug", "name", "timeZone", "slotLength", "slotStep", "currency"}},
		"Policy":    {apply(func(r *booking.Resource) { r.Policy = booking.Policy{} }), nil},
		"Money":     {apply(func(r *booking.Resource) { r.Price = booking.Money{} }), []string{"currency"}},
		"Hours":     {apply(func(r *booking.Resource) { r.Hours = []booking.Hours{{}} }), []string{"hours"}},
		"Exception": {apply(func(r *booking.Resource) { r.Exceptions = []booking.Exception{{}} }), []string{"exceptions"}},
		"Interval": {apply(func(r *booking.Resource) {
			r.Exceptions = []booking.Exception{{Date: booking.Date{Year: 2030, Month: 1, Day: 1},
				Hours: []booking.Interval{{}}}}
		}), []string{"exceptions"}},
		"Offer": {apply(func(r *booking.Resource) { r.Offers = []booking.Offer{{}} }), []string{"offers"}},
		"Offer without a price": {apply(func(r *booking.Resource) {
			r.Offers = []booking.Offer{{Slug: "long", Name: "Long", SlotLength: 2 * time.Hour}}
		}), []string{"offers"}},
		"Offer free of charge": {apply(func(r *booking.Resource) {
			r.Offers = []booking.Offer{{Slug: "trial", Name: "Trial", Price: booking.Money{Currency: "eur"}}}
		}), nil},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.do()
			if c.fields == nil {
				require.NoError(t, err)
				return
			}
			requireFields(t, err, c.fields...)
		})
	}
	// Without an id there is nothing to change.
	_, err = store.Cancel(ctx, booking.CancelRequest{})
	require.ErrorIs(t, err, booking.ErrNotFound)
	require.Zero(t, booking.Customer{}.Name())
	require.Equal(t, "0.00", booking.Money{}.String())

	// A resource is active unless it says otherwise.
	stored, err := store.Resource(ctx, "other")
	require.NoError(t, err)
	req := request(slot(0))
	req.Resource = stored.ID
	hold(t, store, req)
}

// A booking's JSON has nothing that lets its reader act for the customer.
func TestBooking_JSONHidesSecrets(t *testing.T) {
	t.Parallel()
	store, err := booking.New(testdb.New(t),
		booking.Options{OwnerSecrets: []string{"0123456789abcdef0123456789abcdef"}})
	require.NoError(t, err)
	create(t, store)
	req := request(slot(0))
	req.IdempotencyKey = "a-key-of-the-client"
	b := hold(t, store, req)
	require.NotEmpty(t, b.OwnerToken)
	moved, err := store.Reschedule(context.WithoutCancel(t.Context()),
		booking.RescheduleRequest{ID: b.ID, Start: slot(2)})
	require.NoError(t, err)
	moved.OwnerToken = b.OwnerToken
	for _, v := range []any{b, &b, []booking.Booking{b}, moved, booking.Page{Bookings: []booking.Booking{b}},
		booking.ConflictError{Bookings: []booking.Booking{b}}} {
		text, err := json.Marshal(v)
		require.NoError(t, err)
		require.Contains(t, string(text), b.ID)
		require.NotContains(t, string(text), b.OwnerToken)
		require.NotContains(t, string(text), req.IdempotencyKey)
	}
}
