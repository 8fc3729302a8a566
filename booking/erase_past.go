package booking

import (
	"context"
	"slices"
	"time"

	"github.com/booking-platform/booking-platform/internal/periodic"
)

// pastPage is how many bookings one statement of ErasePast reads.
const pastPage = 2000

// erasePastFor bounds a run of ErasePast, so that it ends before its timeout.
const erasePastFor = 40 * time.Second

const pastSQL = `
SELECT b.id::text AS id, lower(b.during) AS starts_at, ` + overSQL + ` AND ` + personalSQL + ` AS due,
       NOT (` + overSQL + `) OR upper(b.during) >= statement_timestamp() - make_interval(secs => $1::double precision)
           AS later
FROM booking_platform.bookings b
WHERE (lower(b.during), b.id) > ($2::timestamptz, $3::uuid)
  AND lower(b.during) < statement_timestamp() - make_interval(secs => $1::double precision)
ORDER BY lower(b.during), b.id
LIMIT $4::integer`

type pastRow struct {
	ID       string    `db:"id"`
	StartsAt time.Time `db:"starts_at"`
	Due      bool      `db:"due"`
	Later    bool      `db:"later"`
}

// ErasePast erases the customers of bookings that ended longer than
// [Options.PersonalDataFor] ago, as [Store.Erase] does, and returns of how many. If
// PersonalDataFor is 0 it does nothing. A cancelled or expired booking counts from the
// end of its slot too. Bookings that [Options.KeepPersonalData] names keep their customer
// and are asked about again in the next run.
//
// It reads the bookings by start, 2,000 in a statement, for up to 40 seconds, and the
// next run continues there. Later runs of the process begin with the first booking that
// has not been erased; the first run reads every booking that is old enough. Safe on
// every replica at once.
func (s *Store) ErasePast(ctx context.Context) (int, error) {
	if s.personalDataFor == 0 {
		return 0, nil
	}
	erased, err := s.past.Run(erasePastFor, pastPage, func(after periodic.Place) (int, []periodic.Visit, error) {
		return s.erasePage(ctx, after)
	})
	return erased, wrap(ctx, "erase past bookings", err)
}

func (s *Store) erasePage(ctx context.Context, after periodic.Place) (erased int, visits []periodic.Visit, err error) {
	var rows []pastRow
	err = s.read(ctx, func(q Querier) (err error) {
		rows, err = selectAll[pastRow](ctx, q, pastSQL, s.personalDataFor.Seconds(), after.Start, after.ID, pastPage)
		return err
	})
	if err != nil {
		return 0, nil, err
	}
	var due []string
	for _, row := range rows {
		if row.Due && !row.Later {
			due = append(due, row.ID)
		}
	}
	kept := map[string]bool{}
	if len(due) > 0 && s.keepPersonalData != nil {
		keep, err := s.keepPersonalData(ctx, due)
		if err != nil {
			return 0, nil, err
		}
		for _, id := range keep {
			kept[id] = true
		}
	}
	due = slices.DeleteFunc(due, func(id string) bool { return kept[id] })
	done, err := s.Erase(ctx, due, EraseOptions{})
	if err != nil {
		return done.Bookings, nil, err
	}
	for _, row := range rows {
		visits = append(visits, periodic.Visit{Place: periodic.Place{Start: row.StartsAt.UTC(), ID: row.ID},
			Again: row.Later || kept[row.ID]})
	}
	return done.Bookings, visits, nil
}
