package payments

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/booking-platform/booking-platform/booking"
)

// pastPage is how many bookings one statement of ErasePast reads.
const pastPage = 2000

// erasePastFor bounds a run of ErasePast, so that it ends before its timeout.
const erasePastFor = 40 * time.Second

// pastWalk remembers how far ErasePast has come, so that a run does not read again what
// earlier runs of this process have erased.
type pastWalk struct {
	mu sync.Mutex
	// at is where the walk continues, and first the booking before the first one of it
	// that has a payment which was not erased.
	at, first pastPosition
	kept      bool
}

// pastPosition is a booking in the order of the walk.
type pastPosition struct {
	start time.Time
	id    string
}

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
	pastPosition
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
	p.past.mu.Lock()
	defer p.past.mu.Unlock()
	erased := 0
	for began := time.Now(); ; {
		n, more, err := p.erasePage(ctx, &p.past)
		erased += n
		if err != nil || !more || time.Since(began) > erasePastFor {
			return erased, err
		}
	}
}

// erasePage erases the payments of a page of bookings. more is false at the end of the
// walk, which then begins again with the first booking that was kept.
func (p *Payments) erasePage(ctx context.Context, w *pastWalk) (erased int, more bool, err error) {
	if w.at.id == "" {
		w.at = pastPosition{time.Unix(0, 0).UTC(), uuid.Nil.String()}
	}
	page, err := p.pastBookings(ctx, w.at)
	if err != nil {
		return 0, false, err
	}
	var due []string
	for _, b := range page {
		if b.personal && b.past {
			due = append(due, b.id)
		}
	}
	done, err := p.Erase(ctx, due, EraseOptions{})
	if err != nil {
		return done.Payments, false, err
	}
	kept := map[string]bool{}
	for _, u := range done.Unsettled {
		kept[u.BookingID] = true
	}
	for _, b := range page {
		if !w.kept && (b.personal && !b.past || kept[b.id]) {
			w.kept, w.first = true, w.at
		}
		w.at = b.pastPosition
	}
	if len(page) == pastPage {
		return done.Payments, true, nil
	}
	if w.kept {
		w.at, w.kept = w.first, false
	}
	return done.Payments, false, nil
}

func (p *Payments) pastBookings(ctx context.Context, after pastPosition) (page []pastBooking, err error) {
	err = p.read(ctx, "list past bookings", func(q booking.Querier) error {
		page = nil
		rows, err := q.QueryContext(ctx, pastSQL, p.opts.PersonalDataFor.Seconds(), after.start, after.id, pastPage,
			p.account)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var b pastBooking
			if err := rows.Scan(&b.id, &b.start, &b.personal, &b.past); err != nil {
				return err
			}
			page = append(page, b)
		}
		return rows.Err()
	})
	return page, err
}
