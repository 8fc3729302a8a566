package booking

import (
	"fmt"
	"strings"
)

// Reads a bounded number of rows of an index in its order, and returns those that match
// and the last one. The conditions below determine the order and the index.
const listSQL = `
SELECT` + bookingColumns + `, b.fits, b.nth
FROM (
    SELECT` + storedColumns + `, %[4]s, COALESCE(%[1]s, false) AS fits,
        row_number() OVER (ORDER BY %[3]s ROWS UNBOUNDED PRECEDING) AS nth
    FROM booking_platform.bookings b
    WHERE %[2]s
    ORDER BY %[3]s
    LIMIT %[5]d
) b
WHERE b.fits OR b.nth = %[5]d
ORDER BY %[6]s
LIMIT %[7]s::integer`

const (
	listReferenceSQL = `b.reference = ANY (ARRAY[%s::text]) AND b.reference <> ''`
	listNumberSQL    = `b.number = ANY (ARRAY[%s::text]) AND b.number <> ''`
	listCustomerSQL  = `lower(b.email) = ANY (ARRAY[lower(%s::text)])`
	listResourceSQL  = `b.resource_id = ANY (ARRAY[%s::uuid])`
	listSlugSQL      = `b.resource_id = ANY (ARRAY[(SELECT r.id FROM booking_platform.resources r
    WHERE r.slug = %s::text)])`
	listStatusSQL  = `b.status = ANY (%s::text::text[])`
	listKindSQL    = `b.kind = %s::text`
	listFromSQL    = `lower(b.during) >= %s::timestamptz`
	listToSQL      = `lower(b.during) < %s::timestamptz`
	listAfterSQL   = `(lower(b.during), b.id) %s (%s::timestamptz, %s::uuid)`
	listAfterIDSQL = `b.id %s %s::uuid`
)

type listing struct {
	args []any
	// scanned are the conditions that the index applies, filtered those applied row by
	// row.
	scanned, filtered []string
	// keys are the columns of the index.
	keys []string
}

func (l *listing) arg(value any) string {
	l.args = append(l.args, value)
	return fmt.Sprintf("$%d", len(l.args))
}

// lookUp looks up a column in the index, if it is the first, or adds a filter. The
// condition is = ANY of one value, and the column is part of the order, because the
// planner drops a column that equals a constant from the order: it could then choose an
// index without the column, and read any number of rows before one matches.
func (l *listing) lookUp(condition, column, value string) {
	condition = fmt.Sprintf(condition, l.arg(value))
	if len(l.keys) > 0 {
		l.filtered = append(l.filtered, condition)
		return
	}
	l.scanned, l.keys = append(l.scanned, condition), []string{column}
}

// listing collects the conditions, the order and the index of the options.
func (o ListOptions) listing(after *position) *listing {
	l := &listing{}
	if o.Number != "" {
		l.lookUp(listNumberSQL, "b.number", o.Number)
	}
	if o.Reference != "" {
		l.lookUp(listReferenceSQL, "b.reference", o.Reference)
	}
	if o.Customer != "" {
		l.lookUp(listCustomerSQL, "lower(b.email)", o.Customer)
	}
	switch {
	case isID(o.Resource):
		l.lookUp(listResourceSQL, "b.resource_id", o.Resource)
	case o.Resource != "":
		l.lookUp(listSlugSQL, "b.resource_id", o.Resource)
	}
	where := &l.filtered
	if o.Order.byStart() {
		where = &l.scanned
		l.keys = append(l.keys, "lower(b.during)")
	}
	l.keys = append(l.keys, "b.id")
	// The position is a bound like From or To on its side. With both, a scan may begin at
	// either, so only one is given.
	if !o.From.IsZero() && (after == nil || o.Order != ByStart) {
		*where = append(*where, fmt.Sprintf(listFromSQL, l.arg(o.From)))
	}
	if !o.To.IsZero() && (after == nil || o.Order != ByStartDescending) {
		*where = append(*where, fmt.Sprintf(listToSQL, l.arg(o.To)))
	}
	if len(o.Statuses) > 0 {
		l.filtered = append(l.filtered, fmt.Sprintf(listStatusSQL, l.arg(statusArray(o.Statuses))))
	}
	if o.Kind != "" {
		l.filtered = append(l.filtered, fmt.Sprintf(listKindSQL, l.arg(string(o.Kind))))
	}
	beyond := ">"
	if o.Order.descending() {
		beyond = "<"
	}
	switch {
	case after == nil:
	case o.Order.byStart():
		l.scanned = append(l.scanned, fmt.Sprintf(listAfterSQL, beyond, l.arg(after.start), l.arg(after.id)))
	default:
		l.scanned = append(l.scanned, fmt.Sprintf(listAfterIDSQL, beyond, l.arg(after.id)))
	}
	return l
}

func (o ListOptions) order(columns []string) string {
	direction := ""
	if o.Order.descending() {
		direction = " DESC"
	}
	return strings.Join(columns, direction+", ") + direction
}

func (o ListOptions) query(after *position) (string, []any) {
	l := o.listing(after)
	limit := l.arg(o.Limit + 1)
	named, names := make([]string, len(l.keys)), make([]string, len(l.keys))
	for i, key := range l.keys {
		named[i], names[i] = fmt.Sprintf("%s AS key_%d", key, i+1), fmt.Sprintf("b.key_%d", i+1)
	}
	return fmt.Sprintf(listSQL,
			all(l.filtered), all(l.scanned), o.order(l.keys), strings.Join(named, ", "), maxRowsPerPage, o.order(names),
			limit),
		l.args
}

func all(conditions []string) string {
	if len(conditions) == 0 {
		return "true"
	}
	return strings.Join(conditions, " AND ")
}

func statusArray(statuses []Status) string {
	texts := make([]string, len(statuses))
	for i, status := range statuses {
		texts[i] = string(status)
	}
	return "{" + strings.Join(texts, ",") + "}"
}
