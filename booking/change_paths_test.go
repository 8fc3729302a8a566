package booking_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
)

const createToldSQL = `
CREATE TABLE told (
    id bigserial PRIMARY KEY, booking_id uuid, at timestamptz, from_status text, to_status text, from_start timestamptz,
    to_start timestamptz, actor text, reason text, before text, after text
)`

// writeTold writes a row for each change, so that a rollback removes it.
func writeTold(ctx context.Context, tx booking.HookTx, c booking.Changed) error {
	null := func(at time.Time) *time.Time {
		if at.IsZero() {
			return nil
		}
		return &at
	}
	before, err := json.Marshal(c.Before)
	if err != nil {
		return err
	}
	after, err := json.Marshal(c.After)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO told
    (booking_id, at, from_status, to_status, from_start, to_start, actor, reason, before, after)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`, c.After.ID, c.At, string(c.From), string(c.To), null(c.FromStart),
		null(c.ToStart), c.Actor, c.Reason, string(before), string(after))
	return err
}

// withHook returns a store that calls writeTold.
func withHook(t testing.TB, db *sql.DB, opts booking.Options) *booking.Store {
	t.Helper()
	opts.OnChange = writeTold
	store, err := booking.New(db, opts)
	require.NoError(t, err)
	return store
}

// toldOtherwise counts the changes of a history that were not told once, and what was
// told that is no change.
const toldOtherwise = `
WITH told AS (
    SELECT t.booking_id, t.at, t.from_status, t.to_status, t.from_start, t.to_start, t.actor, t.reason FROM told t
), recorded AS (
    SELECT h.booking_id, h.at, h.from_status, h.to_status, h.from_start, h.to_start, h.actor, h.reason
    FROM booking_platform.booking_history h
)
SELECT count(*) FROM (
    (TABLE told EXCEPT ALL TABLE recorded) UNION ALL (TABLE recorded EXCEPT ALL TABLE told)
) AS differ`

// toldChain checks that each change of a booking begins where the one before ended, and
// that the last one is the booking as it is.
// shifted is a booking that the test has moved in time by SQL.
func toldChain(ctx context.Context, db *sql.DB, store *booking.Store, shifted ...string) error {
	rows, err := db.QueryContext(ctx, `SELECT t.before, t.after FROM told t ORDER BY t.booking_id, t.id`)
	if err != nil {
		return err
	}
	defer rows.Close()
	lasts := map[string]booking.Booking{}
	for rows.Next() {
		var before, after booking.Booking
		var b, a string
		if err := errors.Join(rows.Scan(&b, &a), json.Unmarshal([]byte(b), &before),
			json.Unmarshal([]byte(a), &after)); err != nil {
			return err
		}
		was := lasts[after.ID]
		lasts[after.ID] = after
		// Extensions are not told.
		was.UpdatedAt, was.HoldExpiresAt, before.HoldExpiresAt = time.Time{}, time.Time{}, time.Time{}
		if slices.Contains(shifted, after.ID) && before.ID != "" {
			was.Start, was.End = before.Start, before.End
		}
		if x, y := asJSON(was), asJSON(before); x != y {
			return fmt.Errorf("%s: before is\n%s\nafter the last change it was\n%s", after.ID, y, x)
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for id, told := range lasts {
		now, err := store.Get(ctx, id)
		if err != nil {
			return err
		}
		now.UpdatedAt, told.UpdatedAt, now.HoldExpiresAt, told.HoldExpiresAt = time.Time{}, time.Time{}, time.Time{},
			time.Time{}
		if slices.Contains(shifted, id) {
			now.Start, now.End = told.Start, told.End
		}
		if x, y := asJSON(now), asJSON(told); x != y {
			return fmt.Errorf("%s: after is\n%s\nit is\n%s", id, y, x)
		}
	}
	return nil
}

func asJSON(b booking.Booking) string {
	text, _ := json.Marshal(b)
	return string(text)
}

// changePaths are operations on a court of capacity 2 that change bookings, each in the
// given number of changes. do gets a store and a hold made by it.
var changePaths = map[string]struct {
	changes int
	do      func(t *testing.T, db *sql.DB, store *booking.Store, held booking.Booking) error
}{
	"hold": {1, func(t *testing.T, _ *sql.DB, store *booking.Store, _ booking.Booking) error {
		req := request(slot(5))
		req.IdempotencyKey, req.Metadata = "k", map[string]string{"a": "b"}
		_, err := store.Hold(t.Context(), req)
		if err == nil {
			// A repeat changes nothing.
			_, err = store.Hold(t.Context(), req)
		}
		return err
	}},
	"confirm": {1, func(t *testing.T, _ *sql.DB, store *booking.Store, held booking.Booking) error {
		_, err := store.Confirm(t.Context(), held.ID)
		if err == nil {
			_, err = store.Confirm(t.Context(), held.ID)
		}
		return err
	}},
	"confirm late": {1, func(t *testing.T, db *sql.DB, store *booking.Store, held booking.Booking) error {
		expireHolds(t, db, held.ID)
		_, err := store.ConfirmLate(t.Context(), held.ID)
		return err
	}},
	"release": {1, func(t *testing.T, _ *sql.DB, store *booking.Store, held booking.Booking) error {
		_, err := store.Release(t.Context(), held.ID)
		return err
	}},
	"extend": {0, func(t *testing.T, _ *sql.DB, store *booking.Store, held booking.Booking) error {
		_, err := store.Extend(t.Context(), held.ID, time.Now().Add(time.Hour))
		return err
	}},
	"cancel by staff": {2, func(t *testing.T, _ *sql.DB, store *booking.Store, held booking.Booking) error {
		if _, err := store.Confirm(t.Context(), held.ID); err != nil {
			return err
		}
		part := int64(100)
		_, err := store.Cancel(t.Context(), booking.CancelRequest{ID: held.ID, Refund: &part, Reason: "rain"})
		return err
	}},
	"cancel by a customer": {1, func(t *testing.T, _ *sql.DB, store *booking.Store, held booking.Booking) error {
		req := booking.CancelRequest{ID: held.ID, ByCustomer: true, Reason: "ill"}
		_, err := store.Cancel(t.Context(), req)
		if err == nil {
			_, err = store.Cancel(t.Context(), req)
		}
		return err
	}},
	"move": {1, func(t *testing.T, _ *sql.DB, store *booking.Store, held booking.Booking) error {
		req := booking.RescheduleRequest{ID: held.ID, Start: slot(7), Reason: "later"}
		_, err := store.Reschedule(t.Context(), req)
		if err == nil {
			_, err = store.Reschedule(t.Context(), req)
		}
		return err
	}},
	"retake": {2, func(t *testing.T, db *sql.DB, store *booking.Store, held booking.Booking) error {
		expireHolds(t, db, held.ID)
		if _, err := store.ReleaseExpired(t.Context()); err != nil {
			return err
		}
		_, err := store.Retake(t.Context(), held.ID)
		return err
	}},
	"block": {2, func(t *testing.T, _ *sql.DB, store *booking.Store, _ booking.Booking) error {
		b, err := store.Block(t.Context(),
			booking.BlockRequest{Resource: "court", From: slot(9), To: slot(10), Reason: "x"})
		if err == nil {
			_, err = store.Cancel(t.Context(), booking.CancelRequest{ID: b.ID})
		}
		return err
	}},
	"complete and no-show": {3, func(t *testing.T, db *sql.DB, store *booking.Store, held booking.Booking) error {
		_, err := store.Confirm(t.Context(), held.ID)
		startsIn(t, db, held.ID, -3*time.Hour)
		if err == nil {
			_, err = store.Complete(t.Context(), held.ID)
		}
		if err == nil {
			_, err = store.NoShow(t.Context(), held.ID)
		}
		return err
	}},
	"release expired holds": {1, func(t *testing.T, db *sql.DB, store *booking.Store, held booking.Booking) error {
		expireHolds(t, db, held.ID)
		_, err := store.ReleaseExpired(t.Context())
		return err
	}},
	"complete past bookings": {2, func(t *testing.T, db *sql.DB, store *booking.Store, held booking.Booking) error {
		_, err := store.Confirm(t.Context(), held.ID)
		startsIn(t, db, held.ID, -3*time.Hour)
		if err == nil {
			_, err = store.CompletePast(t.Context())
		}
		return err
	}},
	"a hold on expired ones": {2, func(t *testing.T, db *sql.DB, store *booking.Store, held booking.Booking) error {
		expireHolds(t, db, held.ID)
		req := request(held.Start)
		req.Party = 2
		_, err := store.Hold(t.Context(), req)
		return err
	}},
	"a lower capacity": {1, func(t *testing.T, db *sql.DB, store *booking.Store, held booking.Booking) error {
		expireHolds(t, db, held.ID)
		_, err := store.ApplyResource(t.Context(), court(), booking.ApplyOptions{})
		return err
	}},
	"neighbours with other units": {2, func(t *testing.T, db *sql.DB, store *booking.Store, held booking.Booking) error {
		other, err := store.Hold(t.Context(), request(halfHour(2)))
		if err != nil {
			return err
		}
		exec(t, db, setUnits, held.ID, 1)
		exec(t, db, setUnits, other.ID, 2)
		_, err = store.Hold(t.Context(), request(halfHour(1)))
		return err
	}},
	"in a transaction": {7, func(t *testing.T, db *sql.DB, store *booking.Store, held booking.Booking) error {
		return inTx(t, db, store, func(tx *booking.Tx) error {
			ctx := t.Context()
			made, err := tx.Hold(ctx, request(slot(11)))
			if err != nil {
				return err
			}
			_, err1 := tx.Confirm(ctx, made.ID)
			_, err2 := tx.Reschedule(ctx, booking.RescheduleRequest{ID: made.ID, Start: slot(13)})
			_, err3 := tx.Cancel(ctx, booking.CancelRequest{ID: made.ID})
			_, err4 := tx.Expire(ctx, held.ID)
			_, err5 := tx.Expire(ctx, held.ID)
			_, err6 := tx.Retake(ctx, held.ID)
			_, err7 := tx.Block(ctx, booking.BlockRequest{Resource: "court", From: slot(20), To: slot(21)})
			return errors.Join(err1, err2, err3, err4, err5, err6, err7)
		})
	}},
	"rolled back": {0, func(t *testing.T, db *sql.DB, store *booking.Store, held booking.Booking) error {
		undo := errors.New("undo")
		err := inTx(t, db, store, func(tx *booking.Tx) error {
			if _, err := tx.Confirm(t.Context(), held.ID); err != nil {
				return err
			}
			return undo
		})
		if !errors.Is(err, undo) {
			return err
		}
		return nil
	}},
}

func inTx(t *testing.T, db *sql.DB, store *booking.Store, do func(*booking.Tx) error) error {
	t.Helper()
	tx, err := db.BeginTx(context.WithoutCancel(t.Context()), readCommitted)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback() }()
	if err := do(store.Tx(tx)); err != nil {
		return err
	}
	return tx.Commit()
}
