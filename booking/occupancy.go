package booking

import (
	"context"
	"encoding/binary"
	"strings"
	"time"
)

// How many heads each of some resources has from $2 to $3, as the instants at which that
// number changes: one row for each resource, however many bookings it has, and where as
// many come as go nothing changes. It begins at nobody; whoever came before $2 comes at
// $2. Blocks keep out as many as their units, and expired holds nobody.
//
// The version tells whether the rules in memory are still the database's, and the clock
// which slots are within notice and horizon.
//
// The ids of several come as the text of an array and not as JSON, because the planner
// looks into the one and not into the other: it would expect many resources, and compile
// a query for which one is asked. One alone has a statement of its own: prepared, an
// array could be of any length, and the statement would be planned each time, which takes
// three times as long as to run it.
const (
	takenSQL    = takenOfSQL + `r.id = ANY ($1::text::uuid[])`
	takenOneSQL = takenOfSQL + `r.id = $1::uuid`
	takenOfSQL  = `
SELECT r.id::text AS id, r.version::text AS version, statement_timestamp() AS clock, t.changes
FROM booking_platform.resources r CROSS JOIN LATERAL (
    SELECT string_agg(timestamptz_send(c.at) || int8send(c.heads), ''::bytea ORDER BY c.at) AS changes
    FROM (
        SELECT e.at, sum(e.heads) AS heads
        FROM booking_platform.bookings b, LATERAL (
            VALUES (GREATEST(lower(b.blocked), $2::timestamptz), b.party), (upper(b.blocked), -b.party)
        ) AS e(at, heads)
        WHERE b.active AND b.resource_id = r.id AND b.blocked && tstzrange($2::timestamptz, $3::timestamptz, '[)')
          AND b.blocked && tstzrange($2::timestamptz, $3::timestamptz)
          AND NOT (b.status = 'pending' AND b.hold_expires_at <= statement_timestamp())
          AND e.at < $3::timestamptz
        GROUP BY e.at
        HAVING sum(e.heads) <> 0
    ) c
) t
WHERE `
)

// takenRow is what of a resource is taken.
type takenRow struct {
	ID      string    `db:"id"`
	Version string    `db:"version"`
	Clock   time.Time `db:"clock"`
	Changes []byte    `db:"changes"`
}

// changes are pairs of big-endian numbers, by time: an instant, in microseconds since the
// year 2000, and how many heads come then, or go where it is negative.
type changes []byte

const (
	changeSize = 16
	// epoch2000 is the beginning of the year 2000 in microseconds of Unix time.
	epoch2000 = 946_684_800_000_000
)

// first returns the first change, at a microsecond of Unix time; false when there is
// none.
func (c changes) first() (at int64, heads int, ok bool) {
	if len(c) < changeSize {
		return 0, 0, false
	}
	return int64(binary.BigEndian.Uint64(c)) + epoch2000, int(int64(binary.BigEndian.Uint64(c[8:]))), true
}

// busiest finds the largest number of heads in windows of time that move forward: neither
// end of one is before the same end of the window before it. It looks at each change
// once.
type busiest struct {
	// coming are the changes that no window has reached.
	coming changes
	// heads are there after the last change that was reached.
	heads int
	// stretches begin before the window's end and end after its beginning, less those
	// that are followed by one with as many heads: whatever window still sees the one
	// sees the other too. So they come by time and by falling heads.
	stretches []stretch
}

// stretch is a time in which the number of heads does not change.
type stretch struct {
	until int64
	heads int
}

// within is the largest number of heads at any instant of [from, to), in microseconds of
// Unix time.
func (b *busiest) within(from, to int64) int {
	if b.stretches == nil {
		b.stretches = make([]stretch, 0, len(b.coming)/changeSize)
	}
	for at, heads, ok := b.coming.first(); ok && at < to; at, heads, ok = b.coming.first() {
		b.heads += heads
		b.coming = b.coming[changeSize:]
		until, _, more := b.coming.first()
		if !more {
			until = endOfTime
		}
		for len(b.stretches) > 0 && b.stretches[len(b.stretches)-1].heads <= b.heads {
			b.stretches = b.stretches[:len(b.stretches)-1]
		}
		b.stretches = append(b.stretches, stretch{until, b.heads})
	}
	for len(b.stretches) > 0 && b.stretches[0].until <= from {
		b.stretches = b.stretches[1:]
	}
	if len(b.stretches) == 0 {
		return 0
	}
	return b.stretches[0].heads
}

const endOfTime = 1<<63 - 1

// taken reads what is taken of one or more resources between two instants, by id. One
// that is gone has no row.
func (s *Store) taken(ctx context.Context, all []*rules, from, to time.Time) (map[string]takenRow, error) {
	query, ids := takenOneSQL, all[0].ID
	if len(all) > 1 {
		several := make([]string, 0, len(all))
		for _, r := range all {
			several = append(several, r.ID)
		}
		query, ids = takenSQL, "{"+strings.Join(several, ",")+"}"
	}
	var rows []takenRow
	err := s.read(ctx, func(q Querier) (err error) {
		rows, err = selectAll[takenRow](ctx, q, query, ids, from.UTC(), to.UTC())
		return err
	})
	if err != nil {
		return nil, err
	}
	byID := make(map[string]takenRow, len(rows))
	for _, row := range rows {
		byID[row.ID] = row
	}
	return byID, nil
}
