package booking_test

import (
	"context"
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

func byCustomer(id string) booking.CancelRequest {
	return booking.CancelRequest{ID: id, ByCustomer: true, Reason: "ill"}
}

func minor(n int64) *int64 { return &n }

func startsIn(t testing.TB, db *sql.DB, id string, d time.Duration) {
	t.Helper()
	exec(t, db, `
		UPDATE booking_platform.bookings b SET during = s.during, blocked = s.during
		FROM (SELECT statement_timestamp() + make_interval(secs => $2::double precision)) AS c(start),
			LATERAL (SELECT tstzrange(c.start, c.start + interval '1 hour')) AS s(during)
		WHERE b.id = $1::uuid`, id, d.Seconds())
}

// eachCancel runs f in the store and in a transaction at each isolation level.
func eachCancel(t *testing.T, db *sql.DB, store *booking.Store,
	f func(t *testing.T, cancel func(booking.CancelRequest) (booking.Booking, error))) {
	t.Helper()
	t.Run("store", func(t *testing.T) {
		f(t, func(req booking.CancelRequest) (booking.Booking, error) {
			return store.Cancel(context.Background(), req)
		})
	})
	for name, level := range levels {
		t.Run(name, func(t *testing.T) {
			f(t, func(req booking.CancelRequest) (b booking.Booking, err error) {
				err = retryInTx(db, store, level, func(tx *booking.Tx) error {
					b, err = tx.Cancel(context.Background(), req)
					return err
				})
				return b, err
			})
		})
	}
}

func TestCancel_ByCustomer(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	fees := booking.Policy{FreeUntil: 2 * day, ClosedFrom: time.Hour, FeePercent: 30, FeeMinor: 100}
	tests := map[string]struct {
		policy booking.Policy
		in     time.Duration
		// refund of 5000; nil means that cancelling is not allowed.
		refund *int64
	}{
		"free":               {fees, 2*day + time.Minute, minor(5000)},
		"fee":                {fees, 2*day - time.Second, minor(5000 - 1500 - 100)},
		"fee, until closed":  {fees, time.Hour + time.Minute, minor(5000 - 1500 - 100)},
		"closed":             {fees, time.Hour - time.Second, nil},
		"begun":              {fees, -time.Second, nil},
		"fee of 100 percent": {booking.Policy{FreeUntil: day, FeePercent: 100}, time.Hour, minor(0)},
		"never":              {booking.Policy{Never: true}, 300 * day, nil},
		"zero value":         {booking.Policy{}, time.Minute, minor(5000)},
		"zero value, begun":  {booking.Policy{}, -time.Second, nil},
		"zero value, over":   {booking.Policy{}, -day, nil},
	}
	eachLibrary(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		ctx := context.Background()
		for name, test := range tests {
			r := create(t, store, func(r *booking.Resource) {
				r.Slug, r.Capacity, r.Policy = strings.NewReplacer(" ", "-", ",", "").Replace(name), 2, test.policy
			})
			eachCancel(t, db, store, func(t *testing.T, cancel func(booking.CancelRequest) (booking.Booking, error)) {
				req := request(slot(0))
				req.Resource, req.Party = r.ID, 2
				id := hold(t, store, req).ID
				_, err := store.Confirm(ctx, id)
				require.NoError(t, err)
				startsIn(t, db, id, test.in)
				before, err := store.Get(ctx, id)
				require.NoError(t, err)
				terms := before.Terms(time.Now())
				require.Equal(t, test.refund != nil, terms.Allowed, name)
				got, err := cancel(byCustomer(id))
				refund := test.refund
				if refund == nil {
					require.ErrorIs(t, err, booking.ErrPolicy, name)
					after, err := store.Get(ctx, id)
					require.NoError(t, err)
					require.Equal(t, before, after, name)
					got, err = cancel(booking.CancelRequest{ID: id, Reason: "ill", Refund: minor(7)})
					require.NoError(t, err, "the policy does not bind staff")
					refund = minor(7)
				} else {
					require.NoError(t, err, name)
					require.Equal(t, terms.Refund, *got.Refund)
				}
				want := before
				want.Status, want.Sequence, want.UpdatedAt = booking.StatusCancelled, 1, got.UpdatedAt
				want.Refund = &booking.Money{Minor: *refund, Currency: "eur"}
				require.Equal(t, want, got, name)
				// A repeat returns the first result, even where it would now differ.
				startsIn(t, db, id, -time.Hour)
				want.Start, want.End = time.Time{}, time.Time{}
				for _, again := range []booking.CancelRequest{byCustomer(id), {ID: id, Reason: "snow"},
					{ID: id, Refund: minor(99999)}} {
					got, err := cancel(again)
					require.NoError(t, err)
					got.Start, got.End = time.Time{}, time.Time{}
					require.Equal(t, want, got)
				}
				all := changes(t, store, id)
				require.Equal(t, booking.Change{From: booking.StatusConfirmed, To: booking.StatusCancelled,
					Reason: "ill"},
					all[len(all)-1])
				require.Len(t, all, 2)
			})
		}
	})
}

func TestCancel_HoldByCustomer(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store, func(r *booking.Resource) { r.Policy.Never = true })
	eachCancel(t, db, store, func(t *testing.T, cancel func(booking.CancelRequest) (booking.Booking, error)) {
		for _, lapsed := range []bool{false, true} {
			b := hold(t, store, request(slot(0)))
			if lapsed {
				expireHolds(t, db, b.ID)
			}
			got, err := cancel(byCustomer(b.ID))
			require.NoError(t, err)
			require.Equal(t, booking.StatusCancelled, got.Status)
			require.Nil(t, got.Refund)
			require.Equal(t, 1, got.Sequence)
		}
	})
}

func TestCancel_ByStaff(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store, func(r *booking.Resource) { r.Policy = booking.Policy{Never: true} })
	eachCancel(t, db, store, func(t *testing.T, cancel func(booking.CancelRequest) (booking.Booking, error)) {
		for _, test := range []struct{ refund, want *int64 }{
			{nil, minor(2500)}, {minor(0), minor(0)}, {minor(2500), minor(2500)}, {minor(2501), nil}, {minor(-1), nil},
		} {
			b := hold(t, store, request(slot(0)))
			req := booking.CancelRequest{ID: b.ID, Refund: test.refund}
			if test.refund != nil {
				_, err := cancel(req)
				requireFields(t, err, "refund")
				req.ByCustomer = true
				_, err = cancel(req)
				requireFields(t, err, "refund")
				req.ByCustomer = false
			}
			before, err := store.Confirm(t.Context(), b.ID)
			require.NoError(t, err)
			got, err := cancel(req)
			if test.want == nil {
				requireFields(t, err, "refund")
				after, err := store.Get(t.Context(), b.ID)
				require.NoError(t, err)
				require.Equal(t, before, after)
				_, err = cancel(booking.CancelRequest{ID: b.ID})
				require.NoError(t, err)
				continue
			}
			require.NoError(t, err)
			require.Equal(t, &booking.Money{Minor: *test.want, Currency: "eur"}, got.Refund)
			require.Equal(t, 1, got.Sequence)
			stored, err := store.Get(t.Context(), b.ID)
			require.NoError(t, err)
			require.Equal(t, stored, got)
		}
	})
	requireHistory(t, db)
}

func TestCancel_Block(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store)
	eachCancel(t, db, store, func(t *testing.T, cancel func(booking.CancelRequest) (booking.Booking, error)) {
		b, err := store.Block(t.Context(), booking.BlockRequest{Resource: "court", From: slot(0), To: slot(1)})
		require.NoError(t, err)
		_, err = cancel(booking.CancelRequest{ID: b.ID, Refund: minor(0)})
		requireFields(t, err, "refund")
		for _, status := range []booking.Status{booking.StatusConfirmed, booking.StatusCancelled} {
			_, err = cancel(byCustomer(b.ID))
			var refused *booking.StatusError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, booking.StatusError{ID: b.ID, Status: status, Op: "cancel"}, *refused)
			got, err := cancel(booking.CancelRequest{ID: b.ID})
			require.NoError(t, err)
			require.Nil(t, got.Refund)
			require.Equal(t, 1, got.Sequence)
		}
	})
}

// M22: A cancelled hold stores what will be refunded of money that arrives later.
func TestCancel_HoldRecordsLateRefund(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		policy       booking.Policy
		req          booking.CancelRequest
		late, refund *int64 // late is set by the cancellation, refund after the money arrived
		err          error
	}{
		"free": {booking.Policy{}, booking.CancelRequest{ByCustomer: true}, minor(5000), nil, nil},
		"fee":  {feeSoon, booking.CancelRequest{ByCustomer: true}, minor(3500), minor(3500), nil},
		"fee, money on its way": {feeSoon, booking.CancelRequest{ByCustomer: true, Paying: true}, minor(3500),
			minor(3500), nil},
		"never": {booking.Policy{Never: true}, booking.CancelRequest{ByCustomer: true}, minor(0),
			minor(0), nil},
		"never, money on its way": {booking.Policy{Never: true},
			booking.CancelRequest{ByCustomer: true, Paying: true}, nil, nil, booking.ErrPolicy},
		"staff":                   {feeSoon, booking.CancelRequest{}, nil, nil, nil},
		"staff, money on its way": {feeSoon, booking.CancelRequest{Paying: true}, nil, nil, nil},
		"staff, partial refund": {feeSoon, booking.CancelRequest{Paying: true, Refund: minor(100)}, minor(100),
			minor(100), nil},
		"staff, no refund": {booking.Policy{}, booking.CancelRequest{Paying: true, Refund: minor(0)}, minor(0),
			minor(0), nil},
		"staff, refund above amount": {booking.Policy{}, booking.CancelRequest{Paying: true, Refund: minor(5001)}, nil,
			nil, &booking.ValidationError{}},
		"not paid": {booking.Policy{}, booking.CancelRequest{Refund: minor(100)}, nil, nil,
			&booking.ValidationError{}},
	}
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		for name, test := range tests {
			r := create(t, store, func(r *booking.Resource) {
				r.Slug, r.Policy, r.Price.Minor = "r"+uuid.NewString(), test.policy, 5000
			})
			req := request(slot(0))
			req.Resource = r.ID
			b := hold(t, store, req)
			test.req.ID = b.ID
			cancelled, err := store.Cancel(t.Context(), test.req)
			if test.err != nil {
				require.Error(t, err, name)
				var invalid *booking.ValidationError
				if test.err != booking.ErrPolicy {
					require.ErrorAs(t, err, &invalid, name)
				} else {
					require.ErrorIs(t, err, booking.ErrPolicy, name)
				}
				continue
			}
			require.NoError(t, err, name)
			require.Nil(t, cancelled.Refund, name)
			requireMinor(t, test.late, cancelled.LateRefund, name)

			apply := func(begun time.Time) (b booking.Booking, kept bool) {
				tx, err := db.BeginTx(t.Context(), nil)
				require.NoError(t, err)
				b, kept, err = store.Tx(tx).ApplyLateRefund(t.Context(), cancelled.ID, begun)
				require.NoError(t, err)
				require.NoError(t, tx.Commit())
				return b, kept
			}
			_, kept := apply(time.Now().Add(time.Hour))
			require.False(t, kept, "%s: paid after the cancellation", name)
			after, kept := apply(time.Time{})
			require.Equal(t, test.refund != nil, kept, name)
			if kept {
				requireMinor(t, test.refund, after.Refund, name)
				_, again := apply(time.Time{})
				require.False(t, again, "once")
			}
		}
	})
}

func requireMinor(t *testing.T, want *int64, got *booking.Money, name string) {
	t.Helper()
	require.Equal(t, want == nil, got == nil, name)
	if want != nil {
		require.Equal(t, *want, got.Minor, name)
	}
}

func TestCancel_KeepsFirstReason(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store)
	b := hold(t, store, request(slot(0)))
	_, err := store.Cancel(t.Context(), booking.CancelRequest{ID: b.ID, Reason: "bad\x00reason"})
	requireFields(t, err, "reason")
	for _, reason := range []string{"rain", "snow"} {
		_, err = store.Cancel(t.Context(), booking.CancelRequest{ID: b.ID, Reason: reason})
		require.NoError(t, err)
	}
	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM booking_platform.bookings WHERE reason = 'rain'`))
}
