package notify

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/booking-platform/booking-platform/internal/pg"
)

const (
	// batch is how many messages are claimed at once.
	batch = 32
	// maxUncertain bounds the attempts without a known result, so that a message that ends
	// the process does not do so for ever.
	maxUncertain = 3
	// grace is how long an attempt may continue after its context has ended.
	grace = 3 * time.Second
)

// claimSQL leases messages of the kinds $1. A message that is still leased when its lease
// has ended had a process that recorded no result.
//
// Every second claim takes the newest messages first, so that the confirmation of a
// booking does not wait behind thousands of reminders, nor one behind the other for ever.
func claimSQL(order string) string {
	return `
UPDATE booking_platform.messages m SET attempts = m.attempts + 1, uncertain = m.uncertain + m.leased::integer,
	leased = true, next_attempt_at = statement_timestamp() + $3::bigint * interval '1 second'
FROM (
	SELECT d.id, d.leased FROM booking_platform.messages d
	WHERE d.state = 'due' AND d.next_attempt_at <= statement_timestamp() AND d.kind = ANY (string_to_array($1::text, ','))
	ORDER BY d.next_attempt_at ` + order + ` LIMIT $2::integer FOR UPDATE SKIP LOCKED
) due
WHERE m.id = due.id
RETURNING` + messageColumns + `, due.leased`
}

var claimOldestSQL, claimNewestSQL = claimSQL("ASC"), claimSQL("DESC")

// claimed is a message under a lease, and whether its last attempt has no known result.
type claimed struct {
	Message
	lost bool
}

func (s *Store) claim(ctx context.Context) ([]claimed, error) {
	query := claimOldestSQL
	if s.claims.Add(1)%2 == 0 {
		query = claimNewestSQL
	}
	all, err := pg.Autocommit(ctx, s.db, func(ctx context.Context, q pg.Querier) (all []claimed, err error) {
		rows, err := q.QueryContext(ctx, query, s.kinds, batch, int64(s.lease()/time.Second))
		if err != nil {
			return nil, err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var c claimed
			if c.Message, err = scanMessage(alsoScan{rows, &c.lost}); err != nil {
				return nil, err
			}
			all = append(all, c)
		}
		if err := rows.Err(); err != nil {
			return nil, err
		}
		return all, rows.Close()
	})
	return all, wrap(ctx, "claim messages", err)
}

// alsoScan scans one more column.
type alsoScan struct {
	row interface{ Scan(...any) error }
	to  any
}

func (a alsoScan) Scan(to ...any) error { return a.row.Scan(append(to, a.to)...) }

// lease is longer than the attempts of a claim take: none begins after Options.Timeout.
func (s *Store) lease() time.Duration { return 2*s.opts.Timeout + 30*time.Second }

// Send sends the messages that are due until none is left, and returns how many attempts
// had a result other than a failure. It stops early if the mail server is unavailable,
// which is its error; those messages are tried again after 15 seconds and then less often,
// at least every two minutes. Other failures are repeated after pauses from 30 seconds to
// one hour, until Options.GiveUpAfter has passed.
//
// Messages are leased in the database, so it is safe on every replica at once. A claim of
// up to 32 messages is one statement; each attempt is composed and sent outside of
// transactions and recorded by one statement.
func (s *Store) Send(ctx context.Context) (int, error) {
	if s.opts.Sender == nil {
		return 0, errors.New("notify: there is no sender")
	}
	total := 0
	for ctx.Err() == nil {
		all, err := s.claim(ctx)
		if err != nil || len(all) == 0 {
			return total, err
		}
		n, err := s.deliver(ctx, all)
		total += n
		if err != nil {
			return total, err
		}
	}
	return total, ctx.Err()
}

// deliver attempts claimed messages, several at once. What it does not begin is released.
func (s *Store) deliver(ctx context.Context, all []claimed) (settled int, err error) {
	began := time.Now()
	waiting := make(chan claimed, len(all))
	for _, c := range all {
		waiting <- c
	}
	close(waiting)
	var mu sync.Mutex
	var down error
	isDown := func() error {
		mu.Lock()
		defer mu.Unlock()
		return down
	}
	var workers sync.WaitGroup
	for range min(s.opts.Parallel, len(all)) {
		workers.Go(func() {
			for c := range waiting {
				unavailable := isDown()
				if unavailable != nil || ctx.Err() != nil || time.Since(began) >= s.opts.Timeout {
					s.release(ctx, c, unavailable != nil)
					continue
				}
				result, failure := s.attempt(ctx, c)
				mu.Lock()
				if result != ResultFailed && result != ResultUncertain {
					settled++
				}
				if errors.Is(failure, ErrUnavailable) {
					down = failure
				}
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	return settled, down
}

// attempt handles one message and records the result.
func (s *Store) attempt(parent context.Context, c claimed) (Result, error) {
	if c.lost {
		s.report(c.Kind, ResultUncertain)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(parent), s.opts.Timeout)
	defer cancel()
	stop := context.AfterFunc(parent, func() { time.AfterFunc(grace, cancel) })
	defer stop()
	if c.Uncertain > maxUncertain {
		return s.settle(ctx, c, StateRefused, fmt.Sprintf("no result of %d attempts is known", c.Uncertain)), nil
	}
	drafts, err := s.try(ctx, c.Message)
	var drop *DropError
	switch {
	case errors.As(err, &drop):
		return s.settle(ctx, c, StateDropped, drop.Reason), err
	case errors.Is(err, ErrRefused):
		return s.settle(ctx, c, StateRefused, err.Error()), err
	case err != nil:
		return s.fail(ctx, c, err), err
	case drafts != nil:
		return s.expand(ctx, c, drafts)
	}
	return s.settle(ctx, c, StateSent, ""), nil
}

// try composes and sends a message, or returns the drafts of one that expands, which are
// not nil. A panic is an error.
func (s *Store) try(ctx context.Context, m Message) (drafts []Draft, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.LogAttrs(ctx, slog.LevelError, "message panicked", slog.String("message", m.ID),
				slog.String("kind", m.Kind), slog.String("stack", string(debug.Stack())))
			err = errors.New("panic, see the log")
		}
	}()
	kind := s.opts.Kinds[m.Kind]
	if kind.Expand != nil {
		drafts, err = kind.Expand(ctx, m)
		return append([]Draft{}, drafts...), err
	}
	mail, err := kind.Compose(ctx, m)
	if err != nil {
		return nil, err
	}
	if mail.To == "" {
		mail.To = m.Recipient
	}
	mail.MessageID = m.MessageID(s.opts.Domain)
	if err := mail.Check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return nil, s.opts.Sender.Send(ctx, mail)
}

// settleSQL settles a message. A result of an attempt whose lease has ended counts only if
// the mail was sent. An expanded message is not sent again, so it forgets its recipient.
const settleSQL = `
UPDATE booking_platform.messages m SET state = $2::text, reason = $3::text, leased = false,
	settled_at = statement_timestamp(), recipient = CASE WHEN $2::text = 'expanded' THEN '' ELSE m.recipient END
WHERE m.id = $1::uuid AND m.state = 'due' AND (m.attempts = $4::integer OR $2::text = 'sent')`

func (s *Store) settle(ctx context.Context, c claimed, state State, reason string) Result {
	result := map[State]Result{StateSent: ResultSent, StateDropped: ResultDropped, StateRefused: ResultRefused}[state]
	s.record(ctx, c, func(ctx context.Context) error {
		_, err := pg.Exec(ctx, s.db, settleSQL, c.ID, string(state), short(reason), c.Attempts)
		return err
	})
	if state == StateRefused {
		s.log.LogAttrs(ctx, slog.LevelError, "message refused", slog.String("message", c.ID),
			slog.String("kind", c.Kind), slog.String("reference", c.Reference), slog.String("error", short(reason)))
	}
	s.report(c.Kind, result)
	return result
}

// expand enqueues the drafts and settles the message in one transaction.
func (s *Store) expand(ctx context.Context, c claimed, drafts []Draft) (Result, error) {
	err := pg.InTxRetry(ctx, s.db, pg.Retryable, func(tx *sql.Tx) error {
		for _, d := range drafts {
			if _, err := s.Enqueue(ctx, tx, d); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, settleSQL, c.ID, string(StateExpanded), "", c.Attempts)
		return err
	})
	if err != nil {
		return s.fail(ctx, c, err), err
	}
	s.report(c.Kind, ResultExpanded)
	return ResultExpanded, nil
}

const failSQL = `
UPDATE booking_platform.messages m SET reason = $2::text, leased = false, uncertain = m.uncertain + $3::boolean::integer,
	next_attempt_at = statement_timestamp() + $4::bigint * interval '1 second',
	state = CASE WHEN d.over THEN 'refused' ELSE 'due' END,
	settled_at = CASE WHEN d.over THEN statement_timestamp() END
FROM (
	SELECT d.id, d.due_at < statement_timestamp() - $5::bigint * interval '1 second' AS over
	FROM booking_platform.messages d WHERE d.id = $1::uuid FOR UPDATE
) d
WHERE m.id = d.id AND m.state = 'due' AND m.attempts = $6::integer
RETURNING d.over`

// fail records a failed attempt, and the next one.
func (s *Store) fail(ctx context.Context, c claimed, failure error) Result {
	uncertain := errors.Is(failure, ErrUncertain)
	pause := pauseAfter(c.Attempts, errors.Is(failure, ErrUnavailable))
	over := false
	s.record(ctx, c, func(ctx context.Context) error {
		var err error
		over, err = pg.Autocommit(ctx, s.db, func(ctx context.Context, q pg.Querier) (over bool, err error) {
			err = q.QueryRowContext(ctx, failSQL, c.ID, short(failure.Error()), uncertain, int64(pause/time.Second),
				int64(s.opts.GiveUpAfter/time.Second), c.Attempts).Scan(&over)
			if errors.Is(err, sql.ErrNoRows) {
				err = nil
			}
			return over, err
		})
		return err
	})
	if uncertain {
		s.report(c.Kind, ResultUncertain)
	}
	level, result := slog.LevelWarn, ResultFailed
	if over {
		level, result = slog.LevelError, ResultRefused
	}
	s.log.LogAttrs(ctx, level, "message not sent", slog.String("message", c.ID), slog.String("kind", c.Kind),
		slog.Int("attempt", c.Attempts), slog.Bool("given_up", over), slog.String("error", short(failure.Error())))
	s.report(c.Kind, result)
	return result
}

// pauseAfter is a quarter longer or shorter by chance, so that what failed together is not
// repeated together.
func pauseAfter(attempts int, unavailable bool) time.Duration {
	first, most := 30*time.Second, time.Hour
	if unavailable {
		first, most = 15*time.Second, 2*time.Minute
	}
	pause := min(first<<min(attempts-1, 10), most)
	return pause*3/4 + rand.N(pause/2)
}

// A released message has the number of attempts from before its claim, so a repeated
// release is fenced by the lease too: another replica may have one with the same number.
const releaseSQL = `
UPDATE booking_platform.messages m SET leased = false, attempts = m.attempts - 1,
	next_attempt_at = statement_timestamp() + $2::bigint * interval '1 second'
WHERE m.id = $1::uuid AND m.state = 'due' AND m.leased AND m.attempts = $3::integer
	AND m.next_attempt_at = $4::timestamptz`

// release gives a message back that was not attempted.
func (s *Store) release(ctx context.Context, c claimed, unavailable bool) {
	pause := time.Duration(0)
	if unavailable {
		pause = pauseAfter(1, true)
	}
	s.record(ctx, c, func(ctx context.Context) error {
		_, err := pg.Exec(ctx, s.db, releaseSQL, c.ID, int64(pause/time.Second), c.Attempts, c.NextAttemptAt)
		return err
	})
}

// recordTries bounds the repeats of a statement that records a result: after the last, a
// mail that was sent is sent again.
const recordTries = 5

// record runs a statement that records a result, whether or not ctx has ended, and repeats
// it if it fails.
func (s *Store) record(ctx context.Context, c claimed, do func(context.Context) error) {
	var err error
	for n := range recordTries {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		err = do(bounded)
		cancel()
		if err == nil {
			return
		}
		if n < recordTries-1 {
			time.Sleep(time.Duration(n+1) * 200 * time.Millisecond)
		}
	}
	s.log.LogAttrs(ctx, slog.LevelError, "result of a message not recorded; it may be sent again",
		slog.String("message", c.ID), slog.String("error", err.Error()), slog.String("sqlstate", pg.SQLState(err)))
}

func (s *Store) report(kind string, result Result) {
	if s.opts.OnResult != nil {
		s.opts.OnResult(kind, result)
	}
}

const maxReason = 500

// short returns a text for the column reason.
func short(text string) string {
	text = strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", ""), "")
	for len(text) > maxReason {
		_, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
	}
	return text
}
