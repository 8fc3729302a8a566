package webhook_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/webhook"
)

// endings are the ways to end a handler's transaction.
var endings = map[string]struct {
	commits bool
	end     func(ctx context.Context, tx webhook.Tx) error
}{
	"SQL().Commit":   {true, func(_ context.Context, tx webhook.Tx) error { return tx.SQL().Commit() }},
	"SQL().Rollback": {false, func(_ context.Context, tx webhook.Tx) error { return tx.SQL().Rollback() }},
	"a statement through SQL()": {true, func(ctx context.Context, tx webhook.Tx) error {
		_, err := tx.SQL().ExecContext(ctx, `COMMIT`)
		return err
	}},
	"a prepared statement": {true, func(ctx context.Context, tx webhook.Tx) error {
		stmt, err := tx.PrepareContext(ctx, `COMMIT`)
		if err != nil {
			return err
		}
		_, err = stmt.ExecContext(ctx)
		return err
	}},
	"COMMIT":                       {true, sends(`COMMIT`)},
	"END with comments":            {true, sends("-- name: End :exec\n /* all */ end work")},
	"COMMIT AND CHAIN":             {true, sends(`COMMIT AND CHAIN`)},
	"COMMIT and BEGIN":             {true, sends(`COMMIT`, `BEGIN`)},
	"ROLLBACK":                     {false, sends(`rollback`)},
	"ABORT":                        {false, sends("\n\tABORT")},
	"ROLLBACK AND CHAIN":           {false, sends(`ROLLBACK AND CHAIN`)},
	"ROLLBACK and BEGIN":           {false, sends(`ROLLBACK`, `BEGIN`)},
	"ROLLBACK, BEGIN and a change": {false, sends(`ROLLBACK`, `BEGIN`, `INSERT INTO public.effects VALUES ('lost')`)},
}

func sends(statements ...string) func(context.Context, webhook.Tx) error {
	return func(ctx context.Context, tx webhook.Tx) error {
		for _, query := range statements {
			if _, err := tx.ExecContext(ctx, query); err != nil {
				return err
			}
		}
		return nil
	}
}

type observed struct {
	mu   sync.Mutex
	errs map[string]error
}

func (o *observed) observe(_ context.Context, d webhook.Delivery) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.errs == nil {
		o.errs = map[string]error{}
	}
	o.errs[d.EventID] = d.Err
}

func (o *observed) of(id string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.errs[id]
}

func TestTx_HandlerEndsTransaction(t *testing.T) {
	t.Parallel()
	for _, driver := range []testdb.Driver{testdb.PQ, testdb.PGX} {
		for name, ending := range endings {
			for _, after := range []string{"success", "an error", "a panic"} {
				t.Run(fmt.Sprint(driver, name, " ", after), func(t *testing.T) {
					t.Parallel()
					db := testdb.Open(t, driver, testdb.URL(t))
					effects(t, db)
					var seen observed
					r := newReceiver(t, db, webhook.Options{Observe: seen.observe})
					mended := false
					r.Handle(completed, func(ctx context.Context, tx webhook.Tx, ev webhook.Event) (
						webhook.Outcome, error) {
						outcome, err := effect(ctx, tx, ev)
						if err != nil || mended {
							return outcome, err
						}
						if err := ending.end(ctx, tx); err != nil {
							return "", err
						}
						switch after {
						case "an error":
							return "", errors.New("out of tea")
						case "a panic":
							panic("out of tea")
						}
						return outcome, nil
					})
					require.Equal(t, failed, send(t, r, event("evt_1", completed)))
					e := entry(t, db, "evt_1")
					require.Equal(t, string(event("evt_1", completed)), e.Payload)
					if after == "success" || ending.commits && after == "an error" {
						require.ErrorIs(t, seen.of("evt_1"), webhook.ErrTransactionEnded)
						require.Contains(t, e.LastError, webhook.ErrTransactionEnded.Error())
					}
					mended = true
					if ending.commits {
						// Neither done again nor taken for complete.
						require.Equal(t, webhook.Parked, e.Outcome)
						require.Equal(t, done(webhook.Duplicate), send(t, r, event("evt_1", completed)))
					} else {
						require.Equal(t, webhook.Failed, e.Outcome)
						require.Zero(t, countEffects(t, db))
						require.Equal(t, done(webhook.Processed), send(t, r, event("evt_1", completed)))
					}
					require.Equal(t, 1, countEffects(t, db))
					require.Equal(t, done(webhook.Processed), send(t, r, event("evt_2", completed)),
						"the pool is usable")
				})
			}
		}
	}
}

// What looks like an ending but is none.
func TestTx_SQLWithoutEnding(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		effects(t, db)
		r := newReceiver(t, db, webhook.Options{})
		r.Handle(completed, func(ctx context.Context, tx webhook.Tx, ev webhook.Event) (
			webhook.Outcome, error) {
			if err := sends(`SAVEPOINT s`, `INSERT INTO public.effects VALUES ('undone')`, `ROLLBACK TO SAVEPOINT s`)(ctx,
				tx); err != nil {
				return "", err
			}
			_, err := tx.SQL().ExecContext(ctx, `INSERT INTO public.effects (event_id) VALUES ($1::text)`, ev.ID)
			return webhook.Processed, err
		})
		require.Equal(t, done(webhook.Processed), send(t, r, event("evt_1", completed)))
		require.Equal(t, 1, countEffects(t, db))
	})
}

// BEGIN, claim, the handler's statement, COMMIT. A handler that does not take the event
// costs ROLLBACK, BEGIN and claim, or ROLLBACK and the record.
func TestRoundTrips_Delivery(t *testing.T) {
	t.Parallel()
	db, trips := testdb.Counting(t)
	effects(t, db)
	r := newReceiver(t, db, webhook.Options{})
	r.Handle(completed, effect)
	r.Handle("sql", func(ctx context.Context, tx webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
		_ = tx.SQL()
		return effect(ctx, tx, ev)
	})
	unmatched := func(ctx context.Context, tx webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
		_, err := effect(ctx, tx, ev)
		return webhook.Unmatched, err
	}
	r.Handle("none", unmatched)
	r.Handle("first", effect)
	r.Handle("first", unmatched)
	r.Handle("second", unmatched)
	r.Handle("second", effect)
	for n, want := range map[string]int64{completed: 4, "sql": 5, "none": 5, "first": 4, "second": 8} {
		_ = send(t, r, event("evt_warm_"+n, n))
		before := trips.Load()
		_ = send(t, r, event("evt_"+n, n))
		require.Equal(t, want, trips.Load()-before, n)
	}
}

// A transaction of the caller's for a handler.
func TestNewTx(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		effects(t, db)
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		defer func() { _ = tx.Rollback() }()
		handed := webhook.NewTx(tx)
		require.Same(t, tx, handed.SQL())
		_, err = effect(t.Context(), handed, webhook.Event{ID: "evt_1"})
		require.NoError(t, err)
		var rows struct {
			N int `db:"n"`
		}
		require.NoError(t, handed.QueryRowxContext(t.Context(), `SELECT count(*) AS n FROM public.effects`).StructScan(&rows))
		require.Equal(t, 1, rows.N)
		require.NoError(t, tx.Commit())
		require.Equal(t, 1, countEffects(t, db))
	})
}
