package booking

import (
	"context"
	"encoding/binary"
	"math"
	"strings"
	"time"
)

// Returns one row for each resource: the instants in [$2, $3) at which the number of
// units in use changes, from none; bookings that began before $2 begin at $2. Expired
// holds are not counted. The version shows whether the cached rules are current, and the
// clock which slots are within notice and horizon.
//
// Several ids are the text of an array, whose length the planner estimates; for JSON it
// would expect many resources and compile the query. One id has a separate statement:
// with an array of unknown length a prepared statement would be planned each time, which
// takes three times as long as to run it. For the two conditions on the range see
// holdSQL.
const (
	occupancySQL    = occupancyOfSQL + `r.id = ANY ($1::text::uuid[])`
	occupancyOneSQL = occupancyOfSQL + `r.id = $1::uuid`
	occupancyOfSQL  = `
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

type occupancyRow struct {
	ID      string    `db:"id"`
	Version string    `db:"version"`
	Clock   time.Time `db:"clock"`
	Changes []byte    `db:"changes"`
}

// occupancy reads the rows of resources for [from, to), by id. A resource that is gone
// has none.
func occupancy(ctx context.Context, run runner, all []*rules, from, to time.Time) (map[string]occupancyRow, error) {
	query, ids := occupancyOneSQL, all[0].ID
	if len(all) > 1 {
		several := make([]string, 0, len(all))
		for _, r := range all {
			several = append(several, r.ID)
		}
		query, ids = occupancySQL, "{"+strings.Join(several, ",")+"}"
	}
	var rows []occupancyRow
	err := run(ctx, func(q Querier) (err error) {
		rows, err = selectAll[occupancyRow](ctx, q, query, ids, from.UTC(), to.UTC())
		return err
	})
	if err != nil {
		return nil, err
	}
	byID := make(map[string]occupancyRow, len(rows))
	for _, row := range rows {
		byID[row.ID] = row
	}
	return byID, nil
}

// changes are pairs of big-endian numbers, by time: microseconds since the year 2000, and
// the change in units.
type changes []byte

const (
	changeSize = 16
	// epoch2000 is the year 2000 in microseconds of Unix time.
	epoch2000 = 946_684_800_000_000
)

// first returns the first change, at a microsecond of Unix time; false if there is none.
func (c changes) first() (at int64, units int, ok bool) {
	if len(c) < changeSize {
		return 0, 0, false
	}
	return int64(binary.BigEndian.Uint64(c)) + epoch2000, int(int64(binary.BigEndian.Uint64(c[8:]))), true
}

// maxWindow finds the largest number of units in use in windows of time of which neither
// end moves backwards. It reads each change once.
type maxWindow struct {
	// coming are the changes that no window has reached yet.
	coming changes
	// units are in use after the last change that was reached.
	units int
	// steps begin before the window's end and end after its start. Those followed by a
	// step with as many units are left out: every later window that contains the one
	// contains the other. So they fall in units.
	steps []step
}

// step is a time with a constant number of units in use.
type step struct {
	until int64
	units int
}

// within returns the maximum in [from, to), in microseconds of Unix time.
func (m *maxWindow) within(from, to int64) int {
	if m.steps == nil {
		m.steps = make([]step, 0, len(m.coming)/changeSize)
	}
	for at, units, ok := m.coming.first(); ok && at < to; at, units, ok = m.coming.first() {
		m.units += units
		m.coming = m.coming[changeSize:]
		until, _, more := m.coming.first()
		if !more {
			until = math.MaxInt64
		}
		for len(m.steps) > 0 && m.steps[len(m.steps)-1].units <= m.units {
			m.steps = m.steps[:len(m.steps)-1]
		}
		m.steps = append(m.steps, step{until, m.units})
	}
	for len(m.steps) > 0 && m.steps[0].until <= from {
		m.steps = m.steps[1:]
	}
	if len(m.steps) == 0 {
		return 0
	}
	return m.steps[0].units
}
