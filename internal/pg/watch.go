package pg

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync/atomic"
)

// ErrTransactionEnded means that code which was given a transaction to work in has
// committed it or rolled it back.
var ErrTransactionEnded = errors.New("the transaction was ended by the code that it was given to")

// Watch finds out whether code that was given a transaction has ended it. It takes a
// round trip only if the code has had the *sql.Tx or sent a statement that may end a
// transaction. Set XID before the code runs.
type Watch struct {
	// XID is pg_current_xact_id() of the transaction.
	XID     string
	suspect atomic.Bool
}

// Handed notes that the code has the *sql.Tx.
func (w *Watch) Handed() { w.suspect.Store(true) }

// Sent notes a statement of the code.
func (w *Watch) Sent(query string) {
	if mayEnd(query) {
		w.suspect.Store(true)
	}
}

// Suspect reports whether the code may have ended the transaction.
func (w *Watch) Suspect() bool { return w.suspect.Load() }

// A statement ROLLBACK AND CHAIN, or COMMIT and then BEGIN, leaves another transaction.
const sameTransactionSQL = `SELECT coalesce(pg_current_xact_id_if_assigned()::text = $1::text, false)`

// Check returns ErrTransactionEnded if the transaction was ended. q is the *sql.Tx or
// works in it.
func (w *Watch) Check(ctx context.Context, q Querier) error {
	if !w.Suspect() {
		return nil
	}
	var same bool
	err := q.QueryRowContext(ctx, sameTransactionSQL, w.XID).Scan(&same)
	if errors.Is(err, sql.ErrTxDone) || err == nil && !same {
		return ErrTransactionEnded
	}
	return err
}

// mayEnd reports whether a text has a statement that may end a transaction. It errs
// towards true: a semicolon in a literal begins a statement here, and ROLLBACK TO counts.
func mayEnd(query string) bool {
	for {
		query = strings.TrimLeft(query, " \t\r\n\f\v")
		if comment, found := strings.CutPrefix(query, "--"); found {
			_, query, _ = strings.Cut(comment, "\n")
			continue
		}
		if strings.HasPrefix(query, "/*") {
			return true
		}
		for _, word := range []string{"commit", "rollback", "abort", "end", "prepare"} {
			if len(query) >= len(word) && strings.EqualFold(query[:len(word)], word) {
				return true
			}
		}
		_, rest, found := strings.Cut(query, ";")
		if !found {
			return false
		}
		query = rest
	}
}
