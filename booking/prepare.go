package booking

import (
	"context"
	"database/sql"
	"sync"
)

// prepared lists the statements that are worth keeping prepared: those of the hot path,
// and those of a move, which has the resource locked while they run.
var prepared = map[string]bool{
	holdSQL: true, confirm.sql: true, confirmLate.sql: true, takenSQL: true, takenOneSQL: true, bookingByIDSQL: true,
	lockForMoveSQL: true, seatsSQL: true, reserveSQL: true, moveSQL: true,
}

// preparing is a database whose hot statements are prepared once on each connection that
// runs them; database/sql sees to that, and prepares them again on a connection that is
// new. They are closed with their connection or their database.
type preparing struct {
	*sql.DB

	mu         sync.Mutex
	statements map[string]*sql.Stmt
}

// QueryContext runs a statement, prepared where it is one of the hot ones. While another
// caller is preparing it, it runs as it is.
func (p *preparing) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if !prepared[query] {
		return p.DB.QueryContext(ctx, query, args...)
	}
	s, err := p.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return p.DB.QueryContext(ctx, query, args...)
	}
	return s.QueryContext(ctx, args...)
}

// preparedTx is a transaction of the store's own that runs the statements which are
// prepared.
type preparedTx struct {
	*sql.Tx
	prepared *preparing
}

// QueryContext runs a statement, prepared where the database has it so. It makes none:
// that takes a connection more, while the transaction has one, and where the pool has no
// other it would wait for itself.
func (t preparedTx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	t.prepared.mu.Lock()
	s := t.prepared.statements[query]
	t.prepared.mu.Unlock()
	if s == nil {
		return t.Tx.QueryContext(ctx, query, args...)
	}
	return t.StmtContext(ctx, s).QueryContext(ctx, args...)
}

// prepareMoves makes the statements of a move before its transaction begins.
func (p *preparing) prepareMoves(ctx context.Context) error {
	for _, query := range []string{lockForMoveSQL, seatsSQL, reserveSQL, moveSQL} {
		if _, err := p.statement(ctx, query); err != nil {
			return err
		}
	}
	return nil
}

// statement makes a statement on its first use, and keeps it; nil while another caller is
// making it. One makes it, and nobody waits for that: one too many would have to be
// closed, and that waits for its connection, on which somebody may be waiting for us.
func (p *preparing) statement(ctx context.Context, query string) (*sql.Stmt, error) {
	p.mu.Lock()
	s, begun := p.statements[query]
	if !begun {
		if p.statements == nil {
			p.statements = map[string]*sql.Stmt{}
		}
		p.statements[query] = nil
	}
	p.mu.Unlock()
	if begun {
		return s, nil
	}
	made, err := p.DB.PrepareContext(ctx, query)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		// The next caller tries again.
		delete(p.statements, query)
		return nil, err
	}
	p.statements[query] = made
	return made, nil
}
