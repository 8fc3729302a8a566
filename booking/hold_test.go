package booking_test

import (
	"context"
	"database/sql"
	"encoding/hex"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

func TestHold_ConfirmCancel(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		resource := create(t, store, func(r *booking.Resource) {
			r.Capacity, r.BufferBefore, r.BufferAfter = 4, 5*time.Minute, 10*time.Minute
		})
		start := slot(0)
		req := booking.HoldRequest{
			Resource: resource.ID, Start: start.In(time.FixedZone("", 3600)), Party: 3, Customer: ada,
			Reference:      "order 7",
			IdempotencyKey: "key", Metadata: map[string]string{"note": "it's \"quoted\" \\ <b>\n", "é": "ü"},
		}
		held := hold(t, store, req)
		require.Equal(t, booking.Booking{
			ID: held.ID, Number: held.Number, Kind: booking.KindBooking, ResourceID: resource.ID, Start: start,
			End:           start.Add(time.Hour),
			Party:         3,
			Status:        booking.StatusPending,
			HoldExpiresAt: held.CreatedAt.Add(35 * time.Minute), Customer: ada,
			Amount:    booking.Money{Minor: 7500, Currency: "eur"},
			Reference: "order 7", IdempotencyKey: "key", Metadata: req.Metadata, CreatedAt: held.CreatedAt,
			UpdatedAt: held.CreatedAt,
		}, held)
		require.WithinDuration(t, time.Now(), held.CreatedAt, time.Minute)

		stored, err := store.Get(t.Context(), held.ID)
		require.NoError(t, err)
		require.Equal(t, held, stored, "Hold returns the stored booking")

		_, err = store.Hold(t.Context(), booking.HoldRequest{Resource: "court", Start: start, Party: 2, Customer: ada})
		require.ErrorIs(t, err, booking.ErrSlotTaken)
		require.EqualError(t, err, "booking: hold: slot is taken")

		confirmed, err := store.Confirm(t.Context(), held.ID)
		require.NoError(t, err)
		require.Equal(t, booking.StatusConfirmed, confirmed.Status)
		require.True(t, confirmed.UpdatedAt.After(held.UpdatedAt))
		again, err := store.Confirm(t.Context(), held.ID)
		require.NoError(t, err)
		require.Equal(t, confirmed, again)

		list, err := store.List(t.Context(), booking.ListOptions{Resource: "court", Reference: "order 7",
			Statuses: []booking.Status{booking.StatusConfirmed}})
		require.NoError(t, err)
		require.Equal(t, booking.Page{Bookings: []booking.Booking{confirmed}}, list)

		extended, err := store.Extend(t.Context(), hold(t, store, request(slot(5))).ID, slot(0))
		require.NoError(t, err)
		require.Equal(t, slot(0), extended.HoldExpiresAt)

		cancelled, err := store.Cancel(t.Context(), booking.CancelRequest{ID: held.ID, Reason: "rain"})
		require.NoError(t, err)
		require.Equal(t, booking.StatusCancelled, cancelled.Status)
		require.Equal(t, 4, hold(t, store,
			booking.HoldRequest{Resource: "court", Start: start, Party: 4, Customer: ada}).Party)
		requireInvariants(t, db)
	})
}

func TestHold_Buffers(t *testing.T) {
	t.Parallel()
	store := newStore(t, testdb.New(t))
	create(t, store, func(r *booking.Resource) { r.BufferBefore, r.BufferAfter = time.Hour, 2*time.Hour })
	hold(t, store, request(slot(10)))
	for _, hours := range []int{7, 8, 9, 11, 12, 13} {
		_, err := store.Hold(t.Context(), request(slot(hours)))
		require.ErrorIs(t, err, booking.ErrSlotTaken, "%d", hours)
	}
	hold(t, store, request(slot(6)))
	hold(t, store, request(slot(14)))
}

func TestHold_NoticeAndHorizonByDatabaseClock(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store, func(r *booking.Resource) { r.Notice, r.Horizon = 26*time.Hour, 50*time.Hour })
	hold(t, store, request(slot(5)))
	for _, hours := range []int{-30, 0, 1, 27, 1000} {
		// The second store has the rules cached, so the statement refuses.
		for _, s := range []*booking.Store{newStore(t, db), store} {
			_, err := s.Hold(t.Context(), request(slot(hours)))
			requireFields(t, err, "start")
		}
	}
	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM booking_platform.bookings`))
}

func TestHold_UnknownResource(t *testing.T) {
	t.Parallel()
	store := newStore(t, testdb.New(t))
	for _, resource := range []string{"nothing", "Not A Slug", "019a2b3c-0000-7000-8000-000000000000", "\x00"} {
		req := request(slot(0))
		req.Resource = resource
		_, err := store.Hold(t.Context(), req)
		requireFields(t, err, "resource")
		require.ErrorIs(t, err, booking.ErrNotFound)
	}
}

// withOffers adds an offer of half the time, and one that is inactive.
func withOffers(r *booking.Resource) {
	r.Policy = booking.Policy{FreeUntil: 24 * time.Hour, ClosedFrom: time.Hour, FeePercent: 50}
	r.Offers = []booking.Offer{
		{Slug: "half", Name: "Half an hour", SlotLength: 30 * time.Minute, BufferAfter: 10 * time.Minute,
			SlotStep: 15 * time.Minute, Price: booking.Money{Minor: 1500, Currency: "eur"}},
		{Slug: "gone", Name: "No longer", SlotLength: time.Hour, Inactive: true,
			Price: booking.Money{Minor: 1, Currency: "eur"}},
	}
}

func byOffer(start time.Time, offer string) booking.HoldRequest {
	req := request(start)
	req.Offer = offer
	return req
}

func TestHold_Offer(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		resource := create(t, store, withOffers, func(r *booking.Resource) { r.Capacity = 2 })
		req := byOffer(slot(0).Add(15*time.Minute), "half")
		req.Party, req.IdempotencyKey = 2, "key"
		ctx := booking.WithActor(t.Context(), "customer")
		held, err := store.Hold(ctx, req)
		require.NoError(t, err)
		require.Equal(t, booking.Booking{
			ID: held.ID, Number: held.Number, Kind: booking.KindBooking, ResourceID: resource.ID, Offer: "half",
			Start: req.Start, End: req.Start.Add(30 * time.Minute),
			Party: 2, Status: booking.StatusPending, HoldExpiresAt: held.HoldExpiresAt, Customer: ada,
			Amount: booking.Money{Minor: 3000, Currency: "eur"},
			Policy: resource.Policy, IdempotencyKey: "key", CreatedAt: held.CreatedAt, UpdatedAt: held.CreatedAt,
		}, held)
		stored, err := store.Get(t.Context(), held.ID)
		require.NoError(t, err)
		require.Equal(t, held, stored)
		require.Equal(t, held, hold(t, store, req), "a repeat")
		require.Equal(t, 1, count(t, db, `SELECT count(*) FROM booking_platform.booking_history`))
		require.Equal(t, 1, count(t, db, `
			SELECT count(*) FROM booking_platform.booking_history h
				JOIN booking_platform.bookings b ON b.id = h.booking_id
			WHERE b.id = $1::uuid AND h.from_status = '' AND h.to_status = 'pending' AND h.actor = 'customer'
				AND h.reason = ''
			  AND h.at = b.created_at AND h.from_start IS NULL AND h.to_start IS NULL`, held.ID))

		req.Offer = ""
		_, err = store.Hold(t.Context(), req)
		require.ErrorIs(t, err, booking.ErrIdempotencyMismatch)
		_, err = store.Hold(t.Context(), request(req.Start))
		requireFields(t, err, "start")
		req.Start, req.Offer, req.IdempotencyKey = slot(0), "half", "key"
		_, err = store.Hold(t.Context(), req)
		require.ErrorIs(t, err, booking.ErrIdempotencyMismatch)
		_, err = store.Hold(t.Context(), request(slot(0)))
		require.ErrorIs(t, err, booking.ErrSlotTaken, "offers share the units with the resource's own slot")
		_, err = store.Hold(t.Context(), byOffer(slot(0).Add(45*time.Minute), "half"))
		require.ErrorIs(t, err, booking.ErrSlotTaken, "buffer of the offer")
		hold(t, store, byOffer(slot(1), "half"))
		requireInvariants(t, db)
	})
}

func TestHold_OfferUnknownOrInactive(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store, withOffers)
	for _, offer := range []string{"gone", "nothing", "Half", "\x00", "half "} {
		_, err := store.Hold(t.Context(), byOffer(slot(0).Add(time.Minute), offer))
		requireFields(t, err, "offer")
	}
	req := byOffer(slot(0), "nothing")
	req.Party = 2
	_, err := store.Hold(t.Context(), req)
	requireFields(t, err, "offer", "party")
	require.Zero(t, count(t, db, `SELECT count(*) FROM booking_platform.bookings`))
}

func TestHold_RepeatOfRemovedOffer(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store, withOffers)
	req := byOffer(slot(0), "half")
	req.IdempotencyKey = "key"
	first := hold(t, store, req)
	exec(t, db, `UPDATE booking_platform.offers SET active = false`)
	require.Equal(t, first, hold(t, store, req))
	_, err := store.Hold(t.Context(), byOffer(slot(5), "half"))
	requireFields(t, err, "offer")
}

// Keys outlive a deployment: the hash without an offer must not change, and has no
// client.
func TestHold_RequestHashIsStable(t *testing.T) {
	t.Parallel()
	req := booking.HoldRequest{
		Resource: "court", Start: time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC), Party: 2, Customer: ada,
		Reference:      "order 7",
		IdempotencyKey: "key", Metadata: map[string]string{"a": "1", "é": "<b>"},
	}
	const id = "019a2b3c-0000-7000-8000-000000000000"
	const before = "4489d2543d6570093184db5855f7f248390d9a75c2590445c723889eca4fab26"
	require.Equal(t, before, hex.EncodeToString(req.Hash(id)))
	req.Offer = "half"
	require.NotEqual(t, before, hex.EncodeToString(req.Hash(id)))
}

// A hold waits for a change and uses the new rules; one that began before is counted by
// it.
func TestHold_WaitsForResourceChange(t *testing.T) {
	t.Parallel()
	const locked = `SELECT FROM booking_platform.resources WHERE slug = 'court' FOR UPDATE`
	for name, test := range map[string]struct {
		change string
		judge  func(t *testing.T, b booking.Booking, err error)
	}{
		"price": {`UPDATE booking_platform.resources SET price_minor = 9900, policy = '{"never":true}'`,
			func(t *testing.T, b booking.Booking, err error) {
				require.NoError(t, err)
				require.Equal(t, booking.Money{Minor: 19800, Currency: "eur"}, b.Amount)
				require.Equal(t, booking.Policy{Never: true}, b.Policy)
			}},
		"capacity": {`UPDATE booking_platform.resources SET capacity = 1`,
			func(t *testing.T, _ booking.Booking, err error) {
				requireFields(t, err, "party")
			}},
		"closed": {`UPDATE booking_platform.resources SET active = false`,
			func(t *testing.T, _ booking.Booking, err error) {
				requireFields(t, err, "resource")
			}},
		"hours": {`INSERT INTO booking_platform.opening_exceptions SELECT r.id, d::date, 0, 0
			FROM booking_platform.resources r, generate_series(now(), now() + interval '9 days', interval '1 day') d`,
			func(t *testing.T, _ booking.Booking, err error) { requireFields(t, err, "start") }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachLibrary(t, func(t *testing.T, db *sql.DB) {
				store := newStore(t, db)
				create(t, store, func(r *booking.Resource) { r.Capacity = 2 })
				hold(t, store, request(slot(9)))
				tx, err := db.BeginTx(t.Context(), nil)
				require.NoError(t, err)
				defer func() { _ = tx.Rollback() }()
				exec(t, tx, locked)
				exec(t, tx, test.change)
				type answer struct {
					booking.Booking
					error
				}
				answered := make(chan answer, 1)
				go func() {
					req := request(slot(0))
					req.Party = 2
					b, err := store.Hold(context.Background(), req)
					answered <- answer{b, err}
				}()
				waitForLock(t, db)
				require.NoError(t, tx.Commit())
				a := <-answered
				test.judge(t, a.Booking, a.error)
				if a.error == nil {
					stored, err := store.Get(t.Context(), a.ID)
					require.NoError(t, err)
					require.Equal(t, stored, a.Booking)
				}
			})
		})
	}
	t.Run("rolled back", func(t *testing.T) {
		t.Parallel()
		db := testdb.New(t)
		store := newStore(t, db)
		create(t, store)
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		exec(t, tx, locked)
		exec(t, tx, `UPDATE booking_platform.resources SET price_minor = 9900`)
		answered := make(chan error, 1)
		go func() {
			_, err := store.Hold(context.Background(), request(slot(0)))
			answered <- err
		}()
		waitForLock(t, db)
		require.NoError(t, tx.Rollback())
		require.NoError(t, <-answered)
	})
	t.Run("hold first", func(t *testing.T) {
		t.Parallel()
		db := testdb.New(t)
		store := newStore(t, db)
		create(t, store)
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		_, err = store.Tx(tx).Hold(t.Context(), request(slot(0)))
		require.NoError(t, err)
		_, err = db.ExecContext(t.Context(), locked+` NOWAIT`)
		require.ErrorContains(t, err, "could not obtain lock")
		require.NoError(t, tx.Commit())
		exec(t, db, locked+` NOWAIT`)
	})
}

// Deterministic units would make concurrent holds collide.
func TestHold_RandomUnits(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store, func(r *booking.Resource) { r.Capacity = 10000 })
	for n := range 20 {
		hold(t, store, request(slot(n)))
	}
	require.Greater(t, count(t, db, `SELECT count(DISTINCT lower(units)) FROM booking_platform.bookings`), 10)
	req := request(slot(30))
	req.Party = 9999
	hold(t, store, req)
	req.Party = 2
	_, err := store.Hold(t.Context(), req)
	require.ErrorIs(t, err, booking.ErrSlotTaken)
	hold(t, store, request(slot(30)))
	requireInvariants(t, db)
}
