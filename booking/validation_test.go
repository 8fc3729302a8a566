package booking_test

import (
	"context"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// Out-of-range input allocates little. The allocations of the process are measured, so
// the test is not parallel.
func TestValidation_BadInputAllocatesLittle(t *testing.T) {
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store, func(r *booking.Resource) { r.Capacity = 4 })
	held := hold(t, store, request(slot(0)))
	huge := strings.Repeat("x", 1<<20)
	late, early, ages := time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(-300, 1, 1, 0, 0, 0, 0, time.UTC),
		slot(24*365*20)
	far := time.Unix(math.MaxInt64/2, 0)

	slots := func(from, to time.Time, party int) func(context.Context) error {
		return func(ctx context.Context) error { _, err := store.Slots(ctx, "court", from, to, party); return err }
	}
	several := func(change func(*booking.AvailabilityRequest)) func(context.Context) error {
		req := booking.AvailabilityRequest{Resources: []string{"court"}, From: slot(0), To: slot(4)}
		change(&req)
		return func(ctx context.Context) error { _, err := store.Availability(ctx, req); return err }
	}
	next := func(req booking.NextSlotRequest) func(context.Context) error {
		req.Resource = "court"
		return func(ctx context.Context) error { _, err := store.NextSlot(ctx, req); return err }
	}
	take := func(change func(*booking.HoldRequest)) func(context.Context) error {
		req := request(slot(2))
		change(&req)
		return func(ctx context.Context) error { _, err := store.Hold(ctx, req); return err }
	}
	move := func(start time.Time, reason string) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := store.Reschedule(ctx, booking.RescheduleRequest{ID: held.ID, Start: start, Reason: reason})
			return err
		}
	}
	block := func(change func(*booking.BlockRequest)) func(context.Context) error {
		req := booking.BlockRequest{Resource: "court", From: slot(2), To: slot(3)}
		change(&req)
		return func(ctx context.Context) error { _, err := store.Block(ctx, req); return err }
	}
	apply := func(change func(*booking.Resource)) func(context.Context) error {
		r := court()
		change(&r)
		return func(ctx context.Context) error {
			_, err := store.ApplyResource(ctx, r, booking.ApplyOptions{})
			return err
		}
	}
	extend := func(until time.Time) func(context.Context) error {
		return func(ctx context.Context) error { _, err := store.Extend(ctx, held.ID, until); return err }
	}
	list := func(opts booking.ListOptions) func(context.Context) error {
		return func(ctx context.Context) error { _, err := store.List(ctx, opts); return err }
	}
	cancel := func(req booking.CancelRequest) func(context.Context) error {
		return func(ctx context.Context) error { _, err := store.Cancel(ctx, req); return err }
	}

	tests := map[string]struct {
		do func(context.Context) error
		// fields are the expected ones; none means ErrNotFound.
		fields []string
	}{
		"slots, inverted":     {slots(slot(3), slot(2), 1), []string{"to"}},
		"slots, twenty years": {slots(slot(0), ages, 1), []string{"to"}},
		"slots, all time":     {slots(early, far, 1), []string{"from", "to"}},
		"slots, party":        {slots(slot(0), slot(1), math.MinInt), []string{"party"}},
		"slots, of a megabyte": {func(ctx context.Context) error {
			_,
				err := store.Slots(ctx, huge, slot(0), slot(1), 1)
			return err
		}, nil},
		"availability, inverted": {several(func(r *booking.AvailabilityRequest) { r.To = slot(-1) }),
			[]string{"to"}},
		"availability, year 10000": {several(func(r *booking.AvailabilityRequest) {
			r.From, r.To = late,
				late.Add(time.Hour)
		}), []string{"from", "to"}},
		"availability, party": {several(func(r *booking.AvailabilityRequest) { r.Party = -1 }),
			[]string{"party"}},
		"availability, offer": {several(func(r *booking.AvailabilityRequest) { r.Offer = huge }),
			[]string{"offer"}},
		"availability, too many": {several(func(r *booking.AvailabilityRequest) {
			r.Resources = make([]string,
				1<<20)
		}), []string{"resources"}},
		"availability, of a megabyte": {several(func(r *booking.AvailabilityRequest) { r.Resources = []string{huge} }),
			[]string{"resources"}},
		"next slot, year 10000":    {next(booking.NextSlotRequest{After: late}), []string{"after"}},
		"next slot, before year 1": {next(booking.NextSlotRequest{After: early}), []string{"after"}},
		"next slot, party":         {next(booking.NextSlotRequest{Party: -1}), []string{"party"}},
		"next slot, offer":         {next(booking.NextSlotRequest{Offer: huge}), []string{"offer"}},
		"hold, year 10000":         {take(func(r *booking.HoldRequest) { r.Start = late }), []string{"start"}},
		"hold, zero time":          {take(func(r *booking.HoldRequest) { r.Start = far }), []string{"start"}},
		"hold, party": {take(func(r *booking.HoldRequest) { r.Party = math.MaxInt }),
			[]string{"party"}},
		"hold, metadata": {take(func(r *booking.HoldRequest) {
			r.Metadata = map[string]string{"a": huge,
				"b": huge}
		}), []string{"metadata"}},
		"hold, key of metadata": {take(func(r *booking.HoldRequest) { r.Metadata = map[string]string{huge: ""} }),
			[]string{"metadata"}},
		"hold, texts": {take(func(r *booking.HoldRequest) {
			r.Customer, r.Reference = booking.Customer{FirstName: huge, LastName: huge, Email: huge + "@example.com"},
				huge
			r.IdempotencyKey, r.Client, r.Offer = huge, huge, huge
		}), []string{"firstName", "lastName", "email", "reference", "idempotencyKey", "client", "offer"}},
		"hold, resource":        {take(func(r *booking.HoldRequest) { r.Resource = huge }), []string{"resource"}},
		"reschedule, year":      {move(late, ""), []string{"start"}},
		"reschedule, no time":   {move(time.Time{}, huge), []string{"start", "reason"}},
		"reschedule, far ahead": {move(slot(24*370), ""), []string{"start"}},
		"block, inverted":       {block(func(r *booking.BlockRequest) { r.To = slot(1) }), []string{"to"}},
		"block, enormous":       {block(func(r *booking.BlockRequest) { r.To = ages }), []string{"to"}},
		"block, years": {block(func(r *booking.BlockRequest) { r.From, r.To = early, far }),
			[]string{"from", "to"}},
		"block, units": {block(func(r *booking.BlockRequest) { r.Units = math.MaxInt }), []string{"units"}},
		"block, texts": {block(func(r *booking.BlockRequest) { r.Resource, r.Reason = huge, huge }),
			[]string{"reason"}},
		"resource, zone": {apply(func(r *booking.Resource) { r.TimeZone = "Europe/Atlantis" }), []string{"timeZone"}},
		"resource, a path": {apply(func(r *booking.Resource) { r.TimeZone = "../../etc/passwd" }),
			[]string{"timeZone"}},
		"resource, texts": {apply(func(r *booking.Resource) {
			r.Slug, r.Name, r.Description, r.TimeZone = huge, huge, huge, huge
			r.Price.Currency = huge
		}), []string{"slug", "name", "description", "timeZone", "currency"}},
		"resource, numbers": {apply(func(r *booking.Resource) {
			r.Capacity, r.SlotLength, r.SlotStep, r.BufferBefore, r.BufferAfter = math.MaxInt, math.MaxInt64, 1, -1,
				math.MaxInt64
			r.Notice, r.Horizon, r.HoldFor, r.HoldCap, r.Price.Minor = -1, math.MaxInt64, math.MaxInt64, 1,
				math.MaxInt64
		}), []string{
			"capacity", "slotLength", "slotStep", "bufferBefore", "bufferAfter", "notice", "horizon", "holdFor",
			"holdCap", "price",
		}},
		"resource, lists": {apply(func(r *booking.Resource) {
			r.Hours, r.Exceptions, r.Offers = make([]booking.Hours, 1<<16), make([]booking.Exception, 1<<16),
				make([]booking.Offer, 200)
		}), []string{"hours", "exceptions", "offers"}},
		"extend, year 10000": {extend(late), []string{"until"}},
		"extend, no time":    {extend(time.Time{}), []string{"until"}},
		"cancel, reason": {cancel(booking.CancelRequest{ID: held.ID, Reason: huge, Refund: minor(-1)}),
			[]string{"reason", "refund"}},
		"cancel, more": {cancel(booking.CancelRequest{ID: held.ID, Refund: minor(math.MaxInt64)}), []string{"refund"}},
		"cancel, id":   {cancel(booking.CancelRequest{ID: huge}), nil},
		"list, texts": {
			list(booking.ListOptions{
				Order: booking.Order(huge), Resource: huge, Customer: huge, Reference: huge, Kind: booking.Kind(huge),
				Statuses: []booking.Status{booking.Status(huge)}, Limit: math.MaxInt, From: late, To: late,
			}),
			[]string{"order", "resource", "customer", "reference", "kind", "status", "limit", "from", "to"},
		},
		"list, after": {list(booking.ListOptions{After: huge}), []string{"after"}},
		"list, inverted": {
			list(booking.ListOptions{From: slot(2), To: slot(1)}), []string{"to"},
		},
	}
	before := allRows(t, db)
	for name, test := range tests {
		// Warm the cache.
		_ = test.do(t.Context())
		var was, is runtime.MemStats
		runtime.ReadMemStats(&was)
		err := test.do(t.Context())
		runtime.ReadMemStats(&is)
		assert.Less(t, is.TotalAlloc-was.TotalAlloc, uint64(256<<10), "%s: bytes", name)
		assert.Less(t, is.Mallocs-was.Mallocs, uint64(3000), "%s: allocations", name)
		assert.Less(t, len(err.Error()), 2000, "%s: the error does not contain the input", name)
		if test.fields == nil {
			require.ErrorIs(t, err, booking.ErrNotFound, name)
			continue
		}
		var invalid *booking.ValidationError
		require.ErrorAs(t, err, &invalid, name)
		requireFields(t, err, test.fields...)
	}
	require.Equal(t, before, allRows(t, db))
}

// Ranges at the upper limit reach beyond the year 9999.
func TestValidation_LastYears(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store, func(r *booking.Resource) {
		r.SlotLength, r.BufferAfter = 31*24*time.Hour, 7*24*time.Hour
	})
	end := time.Date(9998, 12, 31, 23, 0, 0, 0, time.UTC)
	slots, err := store.Slots(t.Context(), "court", end.AddDate(0, 0, -61), end, 1)
	require.NoError(t, err)
	require.Empty(t, slots)
	_, err = store.NextSlot(t.Context(), booking.NextSlotRequest{Resource: "court", After: end})
	require.ErrorIs(t, err, booking.ErrNoSlot)
	_, err = store.Hold(t.Context(), request(time.Date(9998, 12, 30, 23, 0, 0, 0, time.UTC)))
	requireFields(t, err, "start")
	_, err = store.Block(t.Context(), booking.BlockRequest{Resource: "court", From: end.AddDate(0, 0, -365), To: end})
	require.NoError(t, err)
	requireInvariants(t, db)
}

func TestValidation_HiddenAndReorderingText(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store)
	b := hold(t, store, request(slot(0)))
	before := allRows(t, db)
	ctx := t.Context()
	for _, bad := range []string{"a\u202eb", "a\u2066b", "a\u2028b", "a\u2029b", "a\u200bb", "\ufeffab", "a\u00adb",
		"a\u200fb", "A\u200dB"} {
		for field, change := range map[string]func(*booking.HoldRequest){
			"firstName": func(r *booking.HoldRequest) { r.Customer.FirstName = bad },
			"lastName":  func(r *booking.HoldRequest) { r.Customer.LastName = bad },
			"email":     func(r *booking.HoldRequest) { r.Customer.Email = bad + "@example.com" },
			"reference": func(r *booking.HoldRequest) { r.Reference = bad },
			"note":      func(r *booking.HoldRequest) { r.Note = bad },
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
	require.Equal(t, before, allRows(t, db))
	require.Equal(t, "user:ada", booking.Actor(booking.WithActor(ctx, "user:\u202eada\u2028")))

	for n, name := range []string{"محمد", "שָׁלוֹם", "علی\u200cرضا", "क्\u200dष", "Zoe\u0308", "👩‍👩‍👧‍👦", "山田"} {
		req := request(slot(n + 10))
		req.Customer = booking.Customer{FirstName: name, LastName: name, Email: "ada@example.com"}
		require.Equal(t, name, hold(t, store, req).Customer.FirstName)
	}
}

// What Validate finds without a database is what the operation would find.
func TestValidate_WithoutADatabase(t *testing.T) {
	t.Parallel()
	require.NoError(t, request(slot(0)).Validate())
	require.NoError(t, booking.CancelRequest{ID: "any"}.Validate())
	require.NoError(t, booking.RescheduleRequest{ID: "any", Start: slot(0)}.Validate())

	requireFields(t, booking.HoldRequest{Party: -1}.Validate(), "resource", "start", "party", "firstName", "email")
	long := strings.Repeat("x", 501)
	minus := int64(-1)
	requireFields(t, booking.CancelRequest{Reason: long, Refund: &minus}.Validate(), "reason", "refund")
	requireFields(t, booking.RescheduleRequest{Reason: long}.Validate(), "start", "reason")
}
