package booking

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/jmoiron/sqlx/reflectx"

	"github.com/booking-platform/booking-platform/internal/periodic"
	"github.com/booking-platform/booking-platform/internal/pg"
)

// Options configure [New]; the zero value works.
type Options struct {
	// Logger receives the log; nil discards it.
	Logger *slog.Logger
	// MaxHoldsPerEmail bounds the open holds and upcoming bookings of amount 0 that one
	// e-mail address has from one [HoldRequest.Client], and MaxHoldsPerClient those of
	// one client; at most 1000, 0 means no limit. A hold counts until it is confirmed,
	// released or expired, a free booking until it begins or is cancelled. Addresses are
	// compared case-insensitively. Requests without a client are bounded by address only.
	//
	// MaxHoldsPerEmail is per client so that others cannot use up a customer's limit.
	// MaxHoldsPerEmailAnywhere bounds an address over all clients; 0 means no limit, else
	// it is at least MaxHoldsPerEmail. The first hold of an address from each client does
	// not count for it, so it locks no customer out.
	//
	// A request above a limit gets a [*HoldLimitError]. The limits are exact over all
	// replicas.
	MaxHoldsPerEmail, MaxHoldsPerClient, MaxHoldsPerEmailAnywhere int
	// OwnerSecrets sign the owner tokens of bookings and the tokens of private calendars;
	// at least 32 bytes each. The first signs new tokens; a token is valid while its
	// secret is listed. To replace a secret, put a new one in front, and remove the old
	// one once [Store.SecretUse] shows that nothing depends on it. Without secrets
	// bookings have no owner tokens.
	OwnerSecrets []string
	// CompleteAfter is how long after their end [Store.CompletePast] completes confirmed
	// bookings, which leaves time to record no-shows; 0 means never. Not negative.
	CompleteAfter time.Duration
	// PersonalDataFor is how long after the end of its slot a booking keeps its customer:
	// [Store.ErasePast], a step of [Store.Run], erases older ones. 0 means for ever. Not
	// negative.
	PersonalDataFor time.Duration
	// KeepPersonalData returns those of up to 2,000 ids of bookings whose customer
	// [Store.ErasePast] must keep, for example because a payment is disputed: call
	// payments.Payments.UnsettledBookings in it. nil keeps none.
	KeepPersonalData func(ctx context.Context, ids []string) ([]string, error)
	// Prepare keeps hot statements prepared on each connection, which saves planning, and
	// with lib/pq without binary_parameters=yes a round trip. Not for a pooler in
	// transaction mode without support for prepared statements. [Store.Tx] does not use
	// it.
	Prepare bool
	// OnChange is called once for each change that [Store.History] records: a new hold or
	// block, and every change of a booking's status or time, whichever operation or
	// background step makes it. It is called in the transaction of the change, to write
	// rows that belong to it, such as an outgoing message. An error rolls the change
	// back, and the operation returns it; in a caller's transaction ([Store.Tx]), which is
	// then to be rolled back, as after an error of the database. A booking that only gets
	// other units, a longer hold, another owner token or a note in its history does not
	// change in this sense.
	//
	// The transaction may be rolled back and run again, and then OnChange is called again,
	// so it must not send anything itself. It may be called concurrently, and the booking
	// is locked meanwhile. It must not use the store but through [Store.Tx] on its
	// transaction, and not change the booking it is told about.
	//
	// Statements that would commit by themselves, such as those of [Store.Hold] and
	// [Store.Confirm], are then transactions: two more round trips. A step that expires
	// or completes bookings takes one more for each batch that has any. nil costs
	// nothing.
	OnChange func(ctx context.Context, tx HookTx, c Changed) error
	// OnConfirmSQL does the work of OnChange for the holds that one statement confirms
	// together, which happens to the events of payments.RegisterBatch alone: it replaces
	// the calls of OnChange for them, without a round trip. Without it, OnChange makes
	// each of these events a transaction of its own.
	//
	// It is one INSERT without parameters that reads the table confirmed, one row for each
	// booking: booking_id and resource_id (uuid), reference, email and actor (text) and at
	// (timestamptz), which are those of OnChange's Changed. Like
	//
	//	INSERT INTO shop.mails (booking_id, kind) SELECT c.booking_id, 'confirmed' FROM confirmed c
	//
	// It sees other tables, also the bookings, as they were before the statement. It must
	// not change this module's bookings, payments and events. If it fails, nothing is
	// confirmed, and the events are handled one by one with OnChange. It requires
	// OnChange, which is called for all other changes.
	OnConfirmSQL string
	// ReadFrom returns a database that may be behind, such as a hot standby, for the reads
	// of a call with this context, or nil for the store's own. Slots, Availability,
	// NextSlot, List and Count ask it. What decides, such as [Store.Hold] and [Store.Get],
	// does not, nor do lists of one customer, reference or number, which are read after a
	// booking was made. A read that fails there, or is refused, or takes two seconds, is
	// made on the store's own database. It is called for each read and must be safe for
	// concurrent use. May be nil.
	//
	// Return the database only while it is known to be close behind, and not for a caller
	// who has just changed a booking. A slot that is shown although it was sold is refused
	// by Hold.
	ReadFrom func(ctx context.Context) *sql.DB
	// OnStep observes the steps of [Store.Run], "booking.ReleaseExpired",
	// "booking.CompletePast" and "booking.ErasePast": the duration and the number of
	// bookings changed. It must be safe for concurrent use. May be nil.
	OnStep func(step string, took time.Duration, items int, err error)
}

// Store keeps resources and bookings in Postgres. It caches the rules of resources; every
// statement that sells checks that they are current.
type Store struct {
	db *sql.DB
	// single runs single statements, without a transaction around them.
	single Querier
	log    *slog.Logger
	cache  cache
	lists  resourceLists

	holdLimits    holdLimits
	secrets       []ownerSecret
	completeAfter time.Duration
	onStep        periodic.Observer
	onChange      func(context.Context, HookTx, Changed) error
	onConfirmSQL  string
	readFrom      func(context.Context) *sql.DB
	// sideTxTimeout is maxSideTx, except in tests.
	sideTxTimeout time.Duration

	personalDataFor  time.Duration
	keepPersonalData func(context.Context, []string) ([]string, error)
	past             periodic.Walk
}

// New returns a store on a database that has the set Booking of package migrations,
// without using it yet. A nil db and invalid options are errors.
//
// Every method uses one connection at a time, for one short statement or transaction.
// Holds, confirmations and lists of slots are usually one round trip; lib/pq without
// binary_parameters=yes adds one to each.
func New(db *sql.DB, opts Options) (*Store, error) {
	if db == nil {
		return nil, errors.New("booking: new store: no database")
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	limits, err := newHoldLimits(opts)
	err = errors.Join(err, secretsProblem(opts.OwnerSecrets))
	if opts.CompleteAfter < 0 {
		err = errors.Join(err, errors.New("CompleteAfter must not be negative"))
	}
	if opts.PersonalDataFor < 0 {
		err = errors.Join(err, errors.New("PersonalDataFor must not be negative"))
	}
	if opts.OnConfirmSQL != "" && opts.OnChange == nil {
		err = errors.Join(err, errors.New("OnConfirmSQL requires OnChange"))
	}
	if err != nil {
		return nil, fmt.Errorf("booking: new store: %w", err)
	}
	var secrets []ownerSecret
	for _, secret := range opts.OwnerSecrets {
		secrets = append(secrets, newOwnerSecret(secret))
	}
	var single Querier = db
	if opts.Prepare {
		single = &preparing{DB: db, statements: pg.NewStatements(db, len(prepared))}
	}
	return &Store{
		db: db, single: single, log: opts.Logger, holdLimits: limits,
		secrets: secrets, completeAfter: opts.CompleteAfter, onStep: opts.OnStep, onChange: opts.OnChange,
		onConfirmSQL:  opts.OnConfirmSQL,
		readFrom:      opts.ReadFrom,
		lists:         resourceLists{turn: make(chan struct{}, 1)},
		sideTxTimeout: maxSideTx, personalDataFor: opts.PersonalDataFor, keepPersonalData: opts.KeepPersonalData,
	}, nil
}

// runner runs one step of an operation: a Store on its own database, a [Tx] on the
// caller's connection.
type runner func(ctx context.Context, step func(Querier) error) error

// maxRetries bounds how often a step is retried that Postgres ended in favour of another
// transaction.
const maxRetries = 10

// run runs a step of one statement without BEGIN, and so in one round trip, at the role's
// default isolation; retries are READ COMMITTED. The end of ctx does not cancel the
// statement, see package pg: the error is then [pg.ErrUnconfirmed].
func (s *Store) run(ctx context.Context, step func(Querier) error) error {
	return s.retry(ctx, step, step(committing{s.single, s.db}))
}

// change is run for a step that changes bookings: a transaction if Options.OnChange is
// told about them.
func (s *Store) change(ctx context.Context, step func(Querier) error) error {
	if s.onChange == nil {
		return s.run(ctx, step)
	}
	if p, ok := s.single.(*preparing); ok {
		if err := p.prepare(ctx, holdSQL, confirm.sql, confirmLate.sql); err != nil {
			return err
		}
	}
	return s.retry(ctx, step, s.transact(ctx, step))
}

// read is run for a step that changes nothing. The end of ctx cancels it.
func (s *Store) read(ctx context.Context, step func(Querier) error) error {
	return s.retry(ctx, step, step(s.single))
}

func (s *Store) retry(ctx context.Context, step func(Querier) error, err error) error {
	for n := 1; n <= maxRetries && IsRetryable(err); n++ {
		s.log.DebugContext(ctx, "booking: retry", "sqlstate", pg.SQLState(err), "attempt", n)
		err = s.transact(ctx, step)
	}
	return err
}

func (s *Store) transact(ctx context.Context, step func(Querier) error) error {
	return pg.InTx(ctx, s.db, func(tx *sql.Tx) error {
		if p, ok := s.single.(*preparing); ok {
			return step(preparedTx{tx, p})
		}
		return step(tx)
	})
}

// prepared lists the hot statements, and those that run while a resource is locked.
var prepared = map[string]bool{
	holdSQL: true, confirm.sql: true, confirmLate.sql: true, occupancySQL: true, occupancyOneSQL: true,
	bookingByIDSQL: true, lockBookingSQL: true, seatsSQL: true, reserveSQL: true, moveSQL: true,
}

// preparing keeps the hot statements prepared on each connection, with the help of
// database/sql.
type preparing struct {
	*sql.DB
	statements *pg.Statements
}

// While another caller prepares the statement, it runs unprepared.
func (p *preparing) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if !prepared[query] {
		return p.DB.QueryContext(ctx, query, args...)
	}
	s, err := p.statements.Prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return p.DB.QueryContext(ctx, query, args...)
	}
	return s.QueryContext(ctx, args...)
}

// preparedTx is a transaction of the store's own that uses the prepared statements.
type preparedTx struct {
	*sql.Tx
	prepared *preparing
}

// It prepares no statements itself: that takes a second connection, for which the
// transaction would wait in vain if the pool has no other.
func (t preparedTx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	s := t.prepared.statements.Get(query)
	if s == nil {
		return t.Tx.QueryContext(ctx, query, args...)
	}
	return t.StmtContext(ctx, s).QueryContext(ctx, args...)
}

// prepare prepares statements for [preparedTx].
func (p *preparing) prepare(ctx context.Context, queries ...string) error {
	for _, query := range queries {
		if _, err := p.statements.Prepare(ctx, query); err != nil {
			return err
		}
	}
	return nil
}

// mapper reads db tags; sqlx's default is a global variable.
var mapper = reflectx.NewMapper("db")

// selectAll runs a query in one round trip and scans every row into a T by its db tags.
func selectAll[T any](ctx context.Context, q Querier, query string, args ...any) ([]T, error) {
	if c, ok := q.(committing); ok {
		return pg.Write(ctx, c.db, func(ctx context.Context) ([]T, error) {
			return selectAll[T](ctx, c.Querier, query, args...)
		})
	}
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	scanner := &sqlx.Rows{Rows: rows, Mapper: mapper}
	var out []T
	for scanner.Next() {
		var row T
		if err := scanner.StructScan(&row); err != nil {
			return nil, err
		}
		out = append(out, row)
	}
	if err := scanner.Err(); err != nil {
		return nil, err
	}
	// The error of an implicit commit may come as late as Close.
	return out, rows.Close()
}

// selectOne is selectAll for a query with at most one row; false if there is none.
func selectOne[T any](ctx context.Context, q Querier, query string, args ...any) (T, bool, error) {
	var none T
	rows, err := selectAll[T](ctx, q, query, args...)
	if err != nil || len(rows) == 0 {
		return none, false, err
	}
	return rows[0], true, nil
}

// committing runs single statements that commit by themselves, see [pg.Write].
type committing struct {
	Querier
	db *sql.DB
}

func (c committing) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return pg.Write(ctx, c.db, func(ctx context.Context) (sql.Result, error) {
		return c.Querier.ExecContext(ctx, query, args...)
	})
}
