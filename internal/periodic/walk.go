package periodic

import (
	"sync"
	"time"
)

// Walk goes through a table by start and id over many runs of a step, so that a run does
// not read again what earlier runs of this process have settled. The zero value begins
// with the first row. It is safe for concurrent use: runs wait for each other.
type Walk struct {
	mu sync.Mutex
	// last was visited last. before precedes the first row of this walk that has to be
	// visited again, if again is true: the next walk begins there.
	last, before Place
	again        bool
}

// Place is a row in the order of a walk.
type Place struct {
	Start time.Time
	ID    string // a UUID
}

// Visit is a row that was read. Again means that the next walk has to come back to it.
type Visit struct {
	Place
	Again bool
}

// Run calls page until a page has fewer than size rows, which ends the walk, until the
// time limit, or until an error, and returns how many items the pages have settled. page
// reads up to size rows after a place; the rows of a page that fails are read again.
func (w *Walk) Run(limit time.Duration, size int, page func(after Place) (settled int, rows []Visit, err error)) (
	int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	total := 0
	for began := time.Now(); ; {
		after := w.last
		if after.ID == "" {
			after = Place{time.Unix(0, 0).UTC(), "00000000-0000-0000-0000-000000000000"}
		}
		settled, rows, err := page(after)
		total += settled
		if err != nil {
			return total, err
		}
		w.visit(rows)
		if len(rows) < size {
			if w.again {
				w.last, w.again = w.before, false
			}
			return total, nil
		}
		if time.Since(began) > limit {
			return total, nil
		}
	}
}

func (w *Walk) visit(rows []Visit) {
	for _, row := range rows {
		if row.Again && !w.again {
			w.again, w.before = true, w.last
		}
		w.last = row.Place
	}
}
