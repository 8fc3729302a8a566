package booking

import (
	"context"
	"slices"
	"strings"
	"time"
)

// Change is one step in the life of a booking.
type Change struct {
	// At is when the statement that made the change began, in UTC, by the database's
	// clock. One that had to wait for another may bear an earlier time than that: the
	// order of the changes is that of the list.
	At time.Time
	// From is the status before, "" for a booking that is new, and To the one after. They
	// are the same where only the time changed.
	From, To Status
	// FromStart and ToStart are when it began before and after, in UTC; both zero where
	// that did not change.
	FromStart, ToStart time.Time
	// Actor is who made the change, by [WithActor]; "" where nobody was named. Holds that
	// are released because their time has passed name "booking" then.
	Actor string
	// Reason is what was said to it.
	Reason string
}

// maxHistory bounds what is read of one booking's changes.
const maxHistory = 1000

// A booking from before there was a history has a row without a change.
const historyOfSQL = `
SELECT h.at, h.from_status, h.to_status, h.from_start, h.to_start, h.actor, h.reason
FROM booking_platform.bookings b LEFT JOIN booking_platform.booking_history h ON h.booking_id = b.id
WHERE b.id = $1::uuid
ORDER BY h.id DESC
LIMIT $2::integer`

type changeRow struct {
	At         *time.Time `db:"at"`
	FromStatus *Status    `db:"from_status"`
	ToStatus   *Status    `db:"to_status"`
	FromStart  *time.Time `db:"from_start"`
	ToStart    *time.Time `db:"to_start"`
	Actor      *string    `db:"actor"`
	Reason     *string    `db:"reason"`
}

func (row changeRow) change() Change {
	c := Change{At: row.At.UTC(), From: *row.FromStatus, To: *row.ToStatus, Actor: *row.Actor, Reason: *row.Reason}
	if row.FromStart != nil && row.ToStart != nil {
		c.FromStart, c.ToStart = row.FromStart.UTC(), row.ToStart.UTC()
	}
	return c
}

// History returns what happened to a booking, the oldest change first: its hold, and
// every change of its status or time since, each written together with the change itself.
// Of more than 1000 they are the last 1000; of a booking from before there was a history,
// those since. That a hold was extended, or seated on other units, is no change. The
// error is [ErrNotFound] when there is no such booking. One round trip.
func (s *Store) History(ctx context.Context, id string) ([]Change, error) {
	return history(ctx, s.read, id)
}

// History is [Store.History] in the caller's transaction, which sees its own changes.
func (t *Tx) History(ctx context.Context, id string) ([]Change, error) {
	return history(ctx, t.run, id)
}

func history(ctx context.Context, run runner, id string) ([]Change, error) {
	var rows []changeRow
	err := run(ctx, func(q Querier) (err error) {
		if isID(id) {
			rows, err = selectAll[changeRow](ctx, q, historyOfSQL, strings.ToLower(id), maxHistory)
		}
		if err == nil && len(rows) == 0 {
			err = ErrNotFound
		}
		return err
	})
	if err != nil {
		return nil, wrap(ctx, "history", err)
	}
	out := []Change{}
	for _, row := range rows {
		if row.At != nil {
			out = append(out, row.change())
		}
	}
	slices.Reverse(out)
	return out, nil
}

// recordSQL begins the row of history that every change of a status or a time writes in
// its own statement: so there is no change without it, none is written for a change that
// is rolled back, and it costs no round trip. The row locks of the booking put the ids of
// its changes in their order.
const recordSQL = `
    INSERT INTO booking_platform.booking_history (booking_id, from_status, to_status, from_start, to_start, actor, reason)`

// sweeper is who acts where a hold ends because its time has passed.
func sweeper(ctx context.Context) string {
	if actor := actorOf(ctx); actor != "" {
		return actor
	}
	return "booking"
}
