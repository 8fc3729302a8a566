package booking

import (
	"context"
	"sync"
	"time"
)

// pastPage is how many bookings one statement of ErasePast reads.
const pastPage = 2000

// erasePastFor bounds a run of ErasePast, so that it ends before its timeout.
const erasePastFor = 40 * time.Second

// pastWalk remembers how far ErasePast has come, so that a run does not read again what
// earlier runs of this process have erased.
type pastWalk struct {
	mu sync.Mutex
	// at is where the walk continues, and first the first booking since its beginning that
	// keeps its customer. done is true at the end of a walk.
	at, first pastPosition
	kept      bool
}

type pastPosition struct {
	start time.Time
	id    string
}

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
	s.past.mu.Lock()
	defer s.past.mu.Unlock()
	erased := 0
	for began := time.Now(); ; {
		n, more, err := s.erasePage(ctx, &s.past)
		erased += n
		if err != nil {
			return erased, wrap(ctx, "erase past bookings", err)
		}
		if !more {
			break
		}
		if time.Since(began) > erasePastFor {
			return erased, nil
		}
	}
	return erased, nil
}

// erasePage erases a page of bookings. more is false at the end of the walk, which then
// begins again with the first booking that kept its customer.
func (s *Store) erasePage(ctx context.Context, w *pastWalk) (erased int, more bool, err error) {
	at := w.at
	if at.id == "" {
		at = pastPosition{time.Unix(0, 0).UTC(), "00000000-0000-0000-0000-000000000000"}
	}
	var rows []pastRow
	err = s.read(ctx, func(q Querier) (err error) {
		rows, err = selectAll[pastRow](ctx, q, pastSQL, s.personalDataFor.Seconds(), at.start, at.id, pastPage)
		return err
	})
	if err != nil {
		return 0, false, err
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
			return 0, false, err
		}
		for _, id := range keep {
			kept[id] = true
		}
	}
	var erase []string
	for _, id := range due {
		if !kept[id] {
			erase = append(erase, id)
		}
	}
	done, err := s.Erase(ctx, erase, EraseOptions{})
	if err != nil {
		return done.Bookings, false, err
	}
	for _, row := range rows {
		if !w.kept && (row.Later || kept[row.ID]) {
			// The next walk begins before this booking.
			w.kept, w.first = true, w.at
		}
		w.at = pastPosition{row.StartsAt.UTC(), row.ID}
	}
	if len(rows) == pastPage {
		return done.Bookings, true, nil
	}
	if w.kept {
		w.at, w.kept = w.first, false
	}
	return done.Bookings, false, nil
}
