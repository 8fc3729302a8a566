package booking

import (
	"context"
	"fmt"
)

// Count is how many bookings there are of a list, as far as they were counted.
type Count struct {
	// N is how many were counted: all there are, unless More is true.
	N int
	// More tells that the count ended before the list did. There are N of them at least.
	More bool
}

// counted bounds how many rows a count looks at.
const counted = 10000

// One row more tells whether there are more.
const countSQL = `
SELECT count(*) FILTER (WHERE b.fits) AS n, count(*) AS looked_at
FROM (
    SELECT COALESCE(%[1]s, false) AS fits
    FROM booking_platform.bookings b
    WHERE %[2]s
    ORDER BY %[3]s
    LIMIT %[4]d
) b`

type countRow struct {
	N        int `db:"n"`
	LookedAt int `db:"looked_at"`
}

// Count counts the bookings that [Store.List] lists for the same options on all of its
// pages. After and Limit do not matter, and neither does Order. It looks at 10,000 rows
// at most, by the index that a list would read, and says so where there are more: "more
// than 10000", or, where a filter had to be looked at row by row, "37 at least". It never
// reads the whole table. A [*ValidationError] names what is wrong, as that of a list
// does. One round trip.
func (s *Store) Count(ctx context.Context, opts ListOptions) (Count, error) {
	return countBookings(ctx, s.read, opts)
}

func countBookings(ctx context.Context, run runner, opts ListOptions) (Count, error) {
	if err := opts.check().err(); err != nil {
		return Count{}, wrap(ctx, "count", err)
	}
	query, args := opts.normal().countQuery(counted)
	var row countRow
	err := run(ctx, func(q Querier) (err error) {
		row, _, err = selectOne[countRow](ctx, q, query, args...)
		return err
	})
	return Count{N: min(row.N, counted), More: row.LookedAt > counted}, wrap(ctx, "count", err)
}

// countQuery is the statement of a count. Where a range is asked for, its index is read;
// the order only sees to it that one is.
func (o ListOptions) countQuery(most int) (string, []any) {
	if !o.From.IsZero() || !o.To.IsZero() {
		o.Order = ByStart
	}
	l := o.listing(nil)
	if len(l.keys) > 1 {
		l.keys = l.keys[:len(l.keys)-1]
	}
	return fmt.Sprintf(countSQL, all(l.filtered), all(l.scanned), o.order(l.keys), most+1), l.args
}
