package booking

import (
	"context"
	"database/sql"
	"time"
)

// Backlog is what the bookings have that is not done, of all replicas together. Times are
// UTC.
type Backlog struct {
	// Open counts the holds that keep their units from others.
	Open int
	// Expired counts the holds whose time has passed and that nobody has released yet;
	// they keep nobody out. [Store.ReleaseExpired] sees to them.
	Expired int
	// Oldest is when the time of the oldest of the expired passed, zero when there is
	// none, and Age how long ago that is, by the database's clock: an alarm belongs on
	// it.
	Oldest time.Time
	Age    time.Duration
}

// The bookings that a deadline names are looked at, and no others: all that are pending
// have one, and the sweep takes it away afterwards. OFFSET 0 keeps the planner from
// joining the other way: with many deadlines it would read every booking there ever was.
const backlogSQL = `
SELECT w.open, w.expired, w.oldest, COALESCE(extract(epoch FROM statement_timestamp() - w.oldest) * 1000, 0)::bigint AS milliseconds
FROM (
	SELECT count(*) FILTER (WHERE b.hold_expires_at > statement_timestamp()) AS open,
		count(*) FILTER (WHERE b.hold_expires_at <= statement_timestamp()) AS expired,
		min(b.hold_expires_at) FILTER (WHERE b.hold_expires_at <= statement_timestamp()) AS oldest
	FROM booking_platform.hold_deadlines d CROSS JOIN LATERAL (
		SELECT h.status, h.hold_expires_at FROM booking_platform.bookings h WHERE h.id = d.booking_id OFFSET 0) b
	WHERE NOT d.free AND b.status = 'pending') w`

type backlogRow struct {
	Open         int                 `db:"open"`
	Expired      int                 `db:"expired"`
	Oldest       sql.Null[time.Time] `db:"oldest"`
	Milliseconds int64               `db:"milliseconds"`
}

// Backlog reads what the bookings have that is not done, in one round trip. It reads the
// bookings that have a deadline, which are those of about the length of a hold, however
// many others there are.
func (s *Store) Backlog(ctx context.Context) (Backlog, error) {
	var row backlogRow
	err := s.read(ctx, func(q Querier) (err error) {
		row, _, err = selectOne[backlogRow](ctx, q, backlogSQL)
		return err
	})
	if err != nil {
		return Backlog{}, wrap(ctx, "read what waits", err)
	}
	b := Backlog{Open: row.Open, Expired: row.Expired, Age: time.Duration(row.Milliseconds) * time.Millisecond}
	if row.Oldest.Valid {
		b.Oldest = row.Oldest.V.UTC()
	}
	return b, nil
}
