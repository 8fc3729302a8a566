package booking_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// feeSoon is free until 48 hours before, so for slot(100), and keeps 30 percent for
// slot(0).
var feeSoon = booking.Policy{FreeUntil: 48 * time.Hour, FeePercent: 30}

// A cancellation waits for a concurrent move or confirmation, and applies the terms of
// the result.
func TestCancel_WaitsForConcurrentChange(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		begins   time.Time
		pending  bool
		change   func(context.Context, *booking.Tx, string) error
		commits  bool
		refund   *int64
		sequence int
	}{
		"moved to a slot with a fee":               {slot(100), false, moved(slot(0)), true, minor(1750), 2},
		"moved to a slot without a fee":            {slot(0), false, moved(slot(100)), true, minor(2500), 2},
		"move rolled back":                         {slot(100), false, moved(slot(0)), false, minor(2500), 1},
		"move to a slot without a fee rolled back": {slot(0), false, moved(slot(100)), false, minor(1750), 1},
		"confirmed":                {slot(0), true, confirmed, true, minor(1750), 1},
		"confirmation rolled back": {slot(0), true, confirmed, false, nil, 1},
		"hold moved":               {slot(0), true, moved(slot(100)), true, nil, 2},
	}
	ways := map[string]*sql.TxOptions{"store": nil}
	for name, level := range levels {
		ways[name] = &sql.TxOptions{Isolation: level}
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := testdb.New(t)
			store := newStore(t, db)
			create(t, store, func(r *booking.Resource) { r.Policy, r.Capacity = feeSoon, len(ways) })
			for way, level := range ways {
				id := hold(t, store, request(test.begins)).ID
				if !test.pending {
					_, err := store.Confirm(t.Context(), id)
					require.NoError(t, err)
				}
				tx, err := db.BeginTx(t.Context(), nil)
				require.NoError(t, err)
				require.NoError(t, test.change(t.Context(), store.Tx(tx), id))
				var got booking.Booking
				answer := make(chan error)
				go func() {
					if level == nil {
						var err error
						got, err = store.Cancel(t.Context(), byCustomer(id))
						answer <- err
						return
					}
					answer <- retryInTx(db, store, level.Isolation, func(tx *booking.Tx) (err error) {
						got, err = tx.Cancel(t.Context(), byCustomer(id))
						return err
					})
				}()
				waitForLock(t, db)
				if test.commits {
					require.NoError(t, tx.Commit())
				} else {
					require.NoError(t, tx.Rollback())
				}
				require.NoError(t, <-answer, way)
				require.Equal(t, booking.StatusCancelled, got.Status)
				require.Equal(t, test.sequence, got.Sequence, way)
				if test.refund == nil {
					require.Nil(t, got.Refund, way)
				} else {
					require.Equal(t, &booking.Money{Minor: *test.refund, Currency: "eur"}, got.Refund, way)
				}
			}
			requireHistory(t, db)
		})
	}
}

func moved(start time.Time) func(context.Context, *booking.Tx, string) error {
	return func(ctx context.Context, tx *booking.Tx, id string) error {
		_, err := tx.Reschedule(ctx, moveTo(id, start))
		return err
	}
}

func confirmed(ctx context.Context, tx *booking.Tx, id string) error {
	_, err := tx.Confirm(ctx, id)
	return err
}

// 32 clients cancel, confirm, complete and move one booking. It ends once, with a
// consistent history, and all successful cancellations return the same refund.
func TestCancel_ConcurrentWithEveryTransition(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	setup := newStore(t, db)
	create(t, setup, func(r *booking.Resource) { r.Policy, r.Capacity = feeSoon, 32 })
	const rounds, asked = 6, 1000
	var refunds int64
	outcomes := map[string]int{}
	for round := range rounds {
		id := hold(t, setup, request(slot(100*(round%2)))).ID
		if round%3 > 0 {
			_, err := setup.Confirm(t.Context(), id)
			require.NoError(t, err)
		}
		if round%3 > 1 {
			startsIn(t, db, id, -time.Minute)
		}
		told := make([]*booking.Booking, 32)
		errs := concurrently(t, db, 32, func(store *booking.Store, client int) (err error) {
			ctx := context.Background()
			var b booking.Booking
			switch client % 8 {
			case 0:
				b, err = store.Cancel(booking.WithActor(ctx, "customer"), byCustomer(id))
				told[client] = &b
			case 1:
				level := []sql.IsolationLevel{sql.LevelReadCommitted, sql.LevelRepeatableRead,
					sql.LevelSerializable}[client%3]
				err = retryInTx(db, store, level, func(tx *booking.Tx) (err error) {
					b, err = tx.Cancel(booking.WithActor(ctx, "customer"), byCustomer(id))
					return err
				})
				told[client] = &b
			case 2:
				b, err = store.Cancel(booking.WithActor(ctx, "staff"),
					booking.CancelRequest{ID: id, Refund: minor(asked)})
				told[client] = &b
			case 3:
				_, err = store.Confirm(ctx, id)
			case 4:
				_, err = store.Complete(ctx, id)
			case 5:
				_, err = store.NoShow(ctx, id)
			default:
				_, err = store.Reschedule(ctx, moveTo(id, slot(100*(client%2))))
			}
			return err
		})
		for client, err := range errs {
			switch {
			case err == nil || errors.Is(err, booking.ErrPolicy) || errors.Is(err, booking.ErrNotBegun):
			case errors.As(err, new(*booking.StatusError)):
			default:
				require.Equal(t, 2, client%8, "%v", err)
				requireFields(t, err, "refund")
			}
		}
		b, err := setup.Get(t.Context(), id)
		require.NoError(t, err)
		outcomes[string(b.Status)]++
		history, err := setup.History(t.Context(), id)
		require.NoError(t, err)
		last := history[len(history)-1]
		for client, got := range told {
			if got != nil && errs[client] == nil {
				require.Equal(t, b, *got, "all cancellations return the same booking")
				require.Equal(t, booking.StatusCancelled, b.Status)
			}
		}
		switch {
		case b.Status != booking.StatusCancelled || last.From == booking.StatusPending:
			require.Nil(t, b.Refund)
			continue
		case last.Actor == "staff":
			require.EqualValues(t, asked, b.Refund.Minor)
		default:
			require.Equal(t, b.Policy.Terms(b.Start, last.At, b.Amount).Refund, *b.Refund)
		}
		refunds += b.Refund.Minor
		outcomes[last.Actor]++
	}
	t.Log(outcomes)
	require.EqualValues(t, refunds, count(t, db,
		`SELECT COALESCE(sum(refund_minor), 0) FROM booking_platform.bookings`))
	requireHistory(t, db)
	requireInvariants(t, db)
}
