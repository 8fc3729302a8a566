package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// MaxLag is how far behind the primary a standby may be to be read from.
	MaxLag = 5 * time.Second
	// checkEvery is how often the lag is measured, checkLimit bounds one measurement.
	checkEvery = time.Second
	checkLimit = time.Second
	// replicaIdle is how long an unused connection of the standby's pool is kept.
	replicaIdle = time.Minute
)

// Replica is the pool of a hot standby, and whether it may be read from: [Replica.Follow]
// measures every second how far it is behind. A read sees everything that was committed
// MaxLag and two measurements, at most 9 seconds, ago. A nil Replica is never read from.
type Replica struct {
	standby, primary *sql.DB
	logger           *slog.Logger
	// fit is until when the standby may be read from, in nanoseconds after began.
	fit   atomic.Int64
	lag   atomic.Int64
	began time.Time
	// positions are those of the primary's log, oldest first. Only Follow uses them.
	positions []position
	// known is whether it was checked, and why the reason not to read from it, "" for none.
	known bool
	why   string
}

// position is that of the primary's log at a time.
type position struct {
	at  time.Time
	lsn uint64
}

// NewReplica makes a pool of up to size connections to the standby of primary. It
// connects to nothing.
func NewReplica(standbyURL string, primary *sql.DB, size int, readTimeout time.Duration,
	logger *slog.Logger) (*Replica, error) {
	standby, err := Open(standbyURL, Serving(), readTimeout)
	if err != nil {
		return nil, err
	}
	standby.SetMaxOpenConns(size)
	standby.SetMaxIdleConns(size)
	standby.SetConnMaxIdleTime(replicaIdle)
	standby.SetConnMaxLifetime(time.Hour)
	r := &Replica{standby: standby, primary: primary, logger: logger, began: time.Now()}
	r.lag.Store(-1)
	return r, nil
}

// Close closes the pool.
func (r *Replica) Close() error {
	if r == nil {
		return nil
	}
	return r.standby.Close()
}

type behindKey struct{}

// MayBeBehind marks the context of a request whose reads may be made on a standby.
func MayBeBehind(ctx context.Context) context.Context {
	return context.WithValue(ctx, behindKey{}, true)
}

// For returns the standby's pool for a context of [MayBeBehind], if the standby is close
// behind; else nil.
func (r *Replica) For(ctx context.Context) *sql.DB {
	if r == nil || ctx.Value(behindKey{}) == nil || !r.Fit() {
		return nil
	}
	return r.standby
}

// Fit reports whether the standby may be read from.
func (r *Replica) Fit() bool { return r != nil && time.Since(r.began) < time.Duration(r.fit.Load()) }

// Lag returns how far behind the standby was when it was last measured; false if that is
// unknown, or more than about a minute.
func (r *Replica) Lag() (time.Duration, bool) {
	if r == nil {
		return 0, false
	}
	lag := r.lag.Load()
	return time.Duration(lag), lag >= 0
}

// Follow measures the lag until ctx ends.
func (r *Replica) Follow(ctx context.Context) {
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for {
		r.check(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (r *Replica) check(parent context.Context) {
	ctx, cancel := context.WithTimeout(parent, checkLimit)
	defer cancel()
	asked := time.Now()
	lag, err := r.measure(ctx)
	if parent.Err() != nil {
		return
	}
	why := ""
	switch {
	case err != nil:
		r.lag.Store(-1)
		why = err.Error()
	case lag > MaxLag:
		r.lag.Store(int64(lag))
		why = "it is more than " + MaxLag.String() + " behind"
	default:
		r.lag.Store(int64(lag))
	}
	if why == "" {
		// Until two more measurements could have ended.
		r.fit.Store(int64(asked.Add(2*checkEvery + 2*checkLimit).Sub(r.began)))
	} else {
		r.fit.Store(0)
	}
	switch {
	case !r.known && errors.Is(err, errBehind) && len(r.positions) < 3:
		return // The start has just written; the next measurements tell.
	case r.known && (why == "") == (r.why == ""):
	case why == "":
		r.logger.LogAttrs(ctx, slog.LevelInfo, "reading from the standby")
	default:
		r.logger.LogAttrs(ctx, slog.LevelWarn, "not reading from the standby", slog.String("error", why))
	}
	r.known, r.why = true, why
}

const (
	primarySQL = `SELECT pg_current_wal_lsn()::text, (SELECT c.system_identifier FROM pg_control_system() c)`
	standbySQL = `SELECT COALESCE(pg_last_wal_replay_lsn()::text, ''), pg_is_in_recovery(),
	(SELECT c.system_identifier FROM pg_control_system() c)`
	// keptPositions is the longest lag that is measured, in checks.
	keptPositions = 60
)

var (
	errNoStandby = errors.New("the server is not a standby of the primary")
	errBehind    = errors.New("it is further behind than was measured so far")
)

// measure returns how long ago the primary was where the standby is now. Positions are
// compared, because the time of the last transaction that was replayed stands still while
// nothing is written.
func (r *Replica) measure(ctx context.Context) (time.Duration, error) {
	var text string
	var primary, standby int64
	// Before the statement, so that the lag is never taken for less than it is.
	now := time.Now()
	if err := r.primary.QueryRowContext(ctx, primarySQL).Scan(&text, &primary); err != nil {
		return 0, fmt.Errorf("ask the primary: %w", err)
	}
	at, err := parseLSN(text)
	if err != nil {
		return 0, err
	}
	if n := len(r.positions); n > 0 && at < r.positions[n-1].lsn {
		r.positions = nil // Another primary.
	}
	if r.positions = append(r.positions, position{now, at}); len(r.positions) > keptPositions {
		r.positions = r.positions[1:]
	}
	var recovering bool
	if err := r.standby.QueryRowContext(ctx, standbySQL).Scan(&text, &recovering, &standby); err != nil {
		return 0, fmt.Errorf("ask the standby: %w", err)
	}
	if !recovering || text == "" || standby != primary {
		return 0, errNoStandby
	}
	replayed, err := parseLSN(text)
	if err != nil {
		return 0, err
	}
	for n := len(r.positions) - 1; n >= 0; n-- {
		if r.positions[n].lsn <= replayed {
			return time.Since(r.positions[n].at), nil
		}
	}
	return 0, errBehind
}

// parseLSN reads a position such as 16/B374D848.
func parseLSN(text string) (uint64, error) {
	high, low, _ := strings.Cut(text, "/")
	h, err := strconv.ParseUint(high, 16, 32)
	l, err2 := strconv.ParseUint(low, 16, 32)
	if err := errors.Join(err, err2); err != nil {
		return 0, fmt.Errorf("a position of the log is %q: %w", text, err)
	}
	return h<<32 | l, nil
}
