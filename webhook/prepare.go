package webhook

import (
	"context"
	"database/sql"
	"strings"
	"sync"

	"github.com/jmoiron/sqlx"

	"github.com/booking-platform/booking-platform/internal/pg"
)

// maxPrepared bounds how many statements are kept: a handler that writes values into its
// statements makes new ones for ever.
const maxPrepared = 100

// preparing keeps the statements of the receiver's transactions, its own and its
// handlers', prepared on each connection; database/sql sees to that. A statement is noted
// when a transaction first sends it, and made between two transactions: making it takes a
// connection, and who has one already, with locks, would wait for a pool that has no
// other. They are closed with their connection or their database.
type preparing struct {
	db *sql.DB

	mu         sync.Mutex
	statements map[string]*sql.Stmt
	noted      []string
}

// statement returns a statement that is prepared, or nil after noting it. A nil
// preparing, the default, has none.
func (p *preparing) statement(query string) *sql.Stmt {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s, known := p.statements[query]
	if !known && len(p.statements) < maxPrepared {
		// Nobody notes it again: while it is being made it runs as it is.
		p.statements[query] = nil
		p.noted = append(p.noted, query)
	}
	return s
}

// prepare makes what was noted. Call it without a transaction. One that cannot be
// prepared, several statements in one text say, runs as it is.
func (p *preparing) prepare(ctx context.Context) {
	if p == nil {
		return
	}
	p.mu.Lock()
	noted := p.noted
	p.noted = nil
	p.mu.Unlock()
	for n, query := range noted {
		s, err := p.db.PrepareContext(ctx, query)
		p.mu.Lock()
		switch {
		case err == nil:
			p.statements[query] = s
		case !strings.HasPrefix(sqlState(err), "42"):
			// That was not the statement's fault. The next caller tries again, this one
			// and those after it.
			p.noted = append(p.noted, noted[n:]...)
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
	}
}

// txQuerier runs a transaction's statements, prepared where they are so.
type txQuerier struct {
	*sqlx.Tx
	own      *pg.Tx
	prepared *preparing
}

// CommitWait is [pg.Tx.CommitWait].
func (q txQuerier) CommitWait(ctx context.Context) error { return q.own.CommitWait(ctx) }

// Rollback is [pg.Tx.Rollback].
func (q txQuerier) Rollback() error { return q.own.Rollback() }

func (q txQuerier) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if s := q.prepared.statement(query); s != nil {
		return q.StmtContext(ctx, s).ExecContext(ctx, args...)
	}
	return q.Tx.ExecContext(ctx, query, args...)
}

func (q txQuerier) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if s := q.prepared.statement(query); s != nil {
		return q.StmtContext(ctx, s).QueryContext(ctx, args...)
	}
	return q.Tx.QueryContext(ctx, query, args...)
}

func (q txQuerier) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if s := q.prepared.statement(query); s != nil {
		return q.StmtContext(ctx, s).QueryRowContext(ctx, args...)
	}
	return q.Tx.QueryRowContext(ctx, query, args...)
}

func (q txQuerier) QueryxContext(ctx context.Context, query string, args ...any) (*sqlx.Rows, error) {
	if s := q.prepared.statement(query); s != nil {
		return q.StmtxContext(ctx, s).QueryxContext(ctx, args...)
	}
	return q.Tx.QueryxContext(ctx, query, args...)
}

func (q txQuerier) QueryRowxContext(ctx context.Context, query string, args ...any) *sqlx.Row {
	if s := q.prepared.statement(query); s != nil {
		return q.StmtxContext(ctx, s).QueryRowxContext(ctx, args...)
	}
	return q.Tx.QueryRowxContext(ctx, query, args...)
}
