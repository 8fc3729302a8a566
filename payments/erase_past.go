package payments

import (
	"context"
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/periodic"
)

// pastPage is how many bookings one statement of ErasePast reads.
const pastPage = 2000

// erasePastFor bounds a run of ErasePast, so that it ends before its timeout.
const erasePastFor = 40 * time.Second

const pastSQL = `
SELECT b.id::text, lower(b.during), EXISTS (
		SELECT FROM booking_platform.payments p WHERE p.booking_id = b.id AND p.account IN ('', $5::text)
			AND (coalesce(p.parameters ->> 'erased', '') <> 'true' OR p.checkout_url <> '')),
	upper(b.during) < statement_timestamp() - make_interval(secs => $1::double precision)
FROM booking_platform.bookings b
WHERE (lower(b.during), b.id) > ($2::timestamptz, $3::uuid)
	AND lower(b.during) < statement_timestamp() - make_interval(secs => $1::double precision)
ORDER BY lower(b.during), b.id
LIMIT $4::integer`

type pastBooking struct {
	periodic.Place
	personal, past bool
}

// ErasePast is a step that erases the customers of the settled payments whose bookings
// ended longer than Options.PersonalDataFor ago, as [Payments.Erase] does, and returns of
// how many. If PersonalDataFor is 0 it does nothing. Payments that are not settled are
// looked at again in the next run.
//
// It reads the bookings by start, 2,000 in a statement, for up to 40 seconds, and the
// next run continues there. Later runs of the process begin with the first booking that
// has a payment to erase. Safe on every replica at once.
func (p *Payments) ErasePast(ctx context.Context) (int, error) {
	if p.opts.PersonalDataFor == 0 {
		return 0, nil
	}
	return p.past.Run(erasePastFor, pastPage, func(after periodic.Place) (int, []periodic.Visit, error) {
		return p.erasePage(ctx, after)
	})
}

func (p *Payments) erasePage(ctx context.Context, after periodic.Place) (erased int, visits []periodic.Visit,
	err error) {
	page, err := p.pastBookings(ctx, after)
	if err != nil {
		return 0, nil, err
	}
	var due []string
	for _, b := range page {
		if b.personal && b.past {
			due = append(due, b.ID)
		}
	}
	done, err := p.Erase(ctx, due, EraseOptions{})
	if err != nil {
		return done.Payments, nil, err
	}
	kept := map[string]bool{}
	for _, u := range done.Unsettled {
		kept[u.BookingID] = true
	}
	for _, b := range page {
		visits = append(visits, periodic.Visit{Place: b.Place, Again: b.personal && !b.past || kept[b.ID]})
	}
	return done.Payments, visits, nil
}

func (p *Payments) pastBookings(ctx context.Context, after periodic.Place) (page []pastBooking, err error) {
	err = p.read(ctx, "list past bookings", func(q booking.Querier) error {
		page = nil
		rows, err := q.QueryContext(ctx, pastSQL, p.opts.PersonalDataFor.Seconds(), after.Start, after.ID, pastPage,
			p.account)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var b pastBooking
			if err := rows.Scan(&b.ID, &b.Start, &b.personal, &b.past); err != nil {
				return err
			}
			page = append(page, b)
		}
		return rows.Err()
	})
	return page, err
}
