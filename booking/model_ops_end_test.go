package booking_test

import (
	"context"
	"time"

	"github.com/booking-platform/booking-platform/booking"
)

var ending = map[string]opKind{
	"release": {weight: 1, about: true,
		do: func(_ *modelRun, ctx context.Context, s *booking.Store, _ modelOp, id string) (booking.Booking, error) {
			return s.Release(ctx, id)
		},
		explain: func(_ *modelRun, _ *model, _ modelOp, b *modelBooking, got opResult) bool {
			if b.status == booking.StatusPending {
				b.key = 0
				return got.ends(b, booking.StatusCancelled, "")
			}
			return got.class == "status "+string(b.status)
		}},
	"cancel": {weight: 2, about: true,
		do: func(_ *modelRun, ctx context.Context, s *booking.Store, _ modelOp, id string) (booking.Booking, error) {
			return s.Cancel(ctx, booking.CancelRequest{ID: id, Reason: "rain"})
		},
		explain: func(_ *modelRun, _ *model, _ modelOp, b *modelBooking, got opResult) bool {
			return b.open() && got.cancels(b, "rain", b.amount) || !b.open() && got.settled(b, booking.StatusCancelled)
		}},
	"cancel for a part": {weight: 1, about: true,
		do: func(_ *modelRun, ctx context.Context, s *booking.Store, _ modelOp, id string) (booking.Booking, error) {
			return s.Cancel(ctx, booking.CancelRequest{ID: id, Reason: "flood", Refund: minor(200)})
		},
		explain: func(_ *modelRun, _ *model, _ modelOp, b *modelBooking, got opResult) bool {
			switch {
			case !b.open():
				return got.settled(b, booking.StatusCancelled)
			case b.kind == booking.KindBlock || b.status == booking.StatusPending:
				return got.class == "invalid refund"
			}
			return got.cancels(b, "flood", 200)
		}},
	"cancel by the customer": {weight: 2, about: true,
		do: func(_ *modelRun, ctx context.Context, s *booking.Store, _ modelOp, id string) (booking.Booking, error) {
			return s.Cancel(ctx, booking.CancelRequest{ID: id, ByCustomer: true, Reason: "ill"})
		},
		explain: func(w *modelRun, _ *model, _ modelOp, b *modelBooking, got opResult) bool {
			switch {
			case b.kind == booking.KindBlock:
				return got.class == "status "+string(b.status)
			case !b.open():
				return got.settled(b, booking.StatusCancelled)
			case b.status == booking.StatusPending || b.start.After(w.free):
				return got.cancels(b, "ill", b.amount)
			case b.start.After(w.closed):
				return got.cancels(b, "ill", b.amount/2)
			}
			return got.class == "policy"
		}},
	"complete": {weight: 1, about: true,
		do: func(_ *modelRun, ctx context.Context, s *booking.Store, _ modelOp, id string) (booking.Booking, error) {
			return s.Complete(ctx, id)
		},
		explain: func(_ *modelRun, _ *model, _ modelOp, b *modelBooking, got opResult) bool {
			return got.notes(b, booking.StatusCompleted, booking.StatusNoShow)
		}},
	"no-show": {weight: 1, about: true,
		do: func(_ *modelRun, ctx context.Context, s *booking.Store, _ modelOp, id string) (booking.Booking, error) {
			return s.NoShow(ctx, id)
		},
		explain: func(_ *modelRun, _ *model, _ modelOp, b *modelBooking, got opResult) bool {
			return got.notes(b, booking.StatusNoShow, booking.StatusCompleted)
		}},
	"expire": {weight: 1, about: true,
		do: func(w *modelRun, ctx context.Context, s *booking.Store, _ modelOp,
			id string) (b booking.Booking, err error) {
			tx, err := w.db.BeginTx(ctx, readCommitted)
			if err != nil {
				return b, err
			}
			defer func() { _ = tx.Rollback() }()
			if b, err = s.Tx(tx).Expire(ctx, id); err != nil {
				return b, err
			}
			return b, tx.Commit()
		},
		explain: func(_ *modelRun, m *model, _ modelOp, b *modelBooking, got opResult) bool {
			if b.status == booking.StatusPending && m.mayHaveEnded(b) {
				// Which of the concurrent operations expired it is not known.
				b.become(booking.StatusExpired, anyActor, "")
			} else if b.status == booking.StatusPending {
				b.become(booking.StatusExpired, got.by, "")
			}
			return got.settled(b, booking.StatusExpired)
		}},
}

func (b *modelBooking) open() bool {
	return b.status == booking.StatusPending || b.status == booking.StatusConfirmed
}

// Only a confirmed booking has a refund.
func (got opResult) cancels(b *modelBooking, reason string, refund int64) bool {
	if b.kind == booking.KindBooking && b.status == booking.StatusConfirmed {
		b.refund = &refund
	}
	b.sequence++
	return got.ends(b, booking.StatusCancelled, reason)
}

// notes applies Complete or NoShow.
func (got opResult) notes(b *modelBooking, status, other booking.Status) bool {
	switch {
	case b.status != booking.StatusConfirmed && b.status != other:
		return got.settled(b, status)
	case b.kind != booking.KindBooking:
		return got.class == "status "+string(b.status)
	case b.begun == 0:
		return got.class == "not begun"
	}
	return got.ends(b, status, "")
}

// timePasses moves time forward, or sweeps.
var timePasses = map[string]opKind{
	"lapse": {weight: 3, about: true,
		do: func(w *modelRun, ctx context.Context, _ *booking.Store, _ modelOp, id string) (booking.Booking, error) {
			return booking.Booking{}, execRetried(ctx, w.db, expireBothSQL, id, time.Now().Add(-time.Hour))
		},
		explain: func(_ *modelRun, _ *model, _ modelOp, b *modelBooking, got opResult) bool {
			b.lapsed = b.lapsed || b.status == booking.StatusPending
			return got.class == "ok"
		}},
	// Moves a confirmed booking into the past, each to a different day, so that none
	// overlap.
	"begin": {weight: 2, about: true,
		do: func(w *modelRun, ctx context.Context, _ *booking.Store, a modelOp, id string) (booking.Booking, error) {
			tx, err := w.db.BeginTx(ctx, readCommitted)
			if err != nil {
				return booking.Booking{}, err
			}
			defer func() { _ = tx.Rollback() }()
			// Reschedule locks the resource first, too.
			if _, err := tx.ExecContext(ctx,
				`SELECT FROM booking_platform.resources WHERE id = $1::uuid FOR NO KEY UPDATE`, w.id); err != nil {
				return booking.Booking{}, err
			}
			if _, err := tx.ExecContext(ctx, begin, id, int64(w.past(a)/time.Second)); err != nil {
				return booking.Booking{}, err
			}
			return booking.Booking{}, tx.Commit()
		},
		explain: func(w *modelRun, _ *model, a modelOp, b *modelBooking, got opResult) bool {
			if b.status == booking.StatusConfirmed && b.kind == booking.KindBooking && b.begun == 0 {
				b.begun = w.past(a)
				b.start, b.end, b.from, b.to = b.start.Add(-b.begun), b.end.Add(-b.begun), b.from.Add(-b.begun),
					b.to.Add(-b.begun)
			}
			return got.class == "ok"
		}},
	"sweep": {weight: 1, wants: everywhere,
		do: func(_ *modelRun, _ context.Context, s *booking.Store, _ modelOp, _ string) (booking.Booking, error) {
			// The sweep has no actor.
			_, err := s.ReleaseExpired(context.Background())
			return booking.Booking{}, err
		},
		explain: func(_ *modelRun, m *model, _ modelOp, _ *modelBooking, got opResult) bool {
			for i := range m.bookings {
				// Concurrently, the sweep skips bookings that are locked.
				if b := &m.bookings[i]; m.alone && b.status == booking.StatusPending && b.lapsed {
					b.become(booking.StatusExpired, "booking", "")
				}
			}
			return got.class == "ok"
		}},
}

func (w *modelRun) past(a modelOp) time.Duration {
	return time.Duration(10+a.Which%len(w.model.bookings)) * 24 * time.Hour
}

const begin = `
UPDATE booking_platform.bookings b SET
    during = tstzrange(lower(b.during) - make_interval(secs => $2::bigint),
    upper(b.during) - make_interval(secs => $2::bigint)),
    blocked = tstzrange(lower(b.blocked) - make_interval(secs => $2::bigint),
    upper(b.blocked) - make_interval(secs => $2::bigint))
WHERE b.id = $1::uuid AND b.status = 'confirmed' AND b.kind = 'booking' AND lower(b.during) > statement_timestamp()`

const expireBothSQL = `
WITH b AS (
    UPDATE booking_platform.bookings SET hold_expires_at = $2::timestamptz WHERE id = $1::uuid AND status = 'pending'
    RETURNING id
)
UPDATE booking_platform.hold_deadlines d SET due_at = $2::timestamptz FROM b WHERE d.booking_id = b.id`
