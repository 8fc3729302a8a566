package notify_test

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/notify"
)

func TestMain(m *testing.M) {
	testdb.Parallel()
	testdb.Main(m)
}

// outbox is a sender that records, and fails as fail says.
type outbox struct {
	mu    sync.Mutex
	mails []notify.Mail
	fail  func(ctx context.Context, m notify.Mail) error
}

func (o *outbox) Send(ctx context.Context, m notify.Mail) error {
	if o.fail != nil {
		if err := o.fail(ctx, m); err != nil {
			return err
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mails = append(o.mails, m)
	return nil
}

func (o *outbox) ids() (ids []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, m := range o.mails {
		ids = append(ids, m.MessageID)
	}
	return ids
}

// greet composes mails without looking at anything.
func greet(_ context.Context, m notify.Message) (notify.Mail, error) {
	return notify.Mail{To: "ann@example.com", Subject: "Hello " + m.Reference, Text: "Hello"}, nil
}

func newStore(t *testing.T, db *sql.DB, sender notify.Sender, change ...func(*notify.Options)) *notify.Store {
	t.Helper()
	opts := notify.Options{Domain: "booking.example", Sender: sender,
		Kinds: map[string]notify.Kind{"greeting": {Compose: greet}}}
	for _, c := range change {
		c(&opts)
	}
	s, err := notify.New(db, opts)
	require.NoError(t, err)
	return s
}

func inTx(t *testing.T, db *sql.DB, do func(tx *sql.Tx)) {
	t.Helper()
	tx, err := db.BeginTx(context.WithoutCancel(t.Context()), nil)
	require.NoError(t, err)
	do(tx)
	require.NoError(t, tx.Commit())
}

// enqueue adds one message about the reference, and returns it.
func enqueue(t *testing.T, db *sql.DB, s *notify.Store, d notify.Draft) notify.Message {
	t.Helper()
	if d.Kind == "" {
		d.Kind = "greeting"
	}
	inTx(t, db, func(tx *sql.Tx) {
		added, err := s.Enqueue(t.Context(), tx, d)
		require.NoError(t, err)
		require.True(t, added)
	})
	all, err := s.List(t.Context(), notify.ListOptions{Reference: d.Reference, Kind: d.Kind})
	require.NoError(t, err)
	require.NotEmpty(t, all)
	return all[0]
}

func get(t *testing.T, s *notify.Store, id string) notify.Message {
	t.Helper()
	m, err := s.Get(t.Context(), id)
	require.NoError(t, err)
	return m
}

// now makes every due message ready for its next attempt.
func now(t *testing.T, db *sql.DB) {
	t.Helper()
	exec(t, db, `UPDATE booking_platform.messages SET next_attempt_at = statement_timestamp() WHERE state = 'due'`)
}

func exec(t *testing.T, db *sql.DB, query string, args ...any) {
	t.Helper()
	_, err := db.ExecContext(t.Context(), query, args...)
	require.NoError(t, err)
}

func numbered(n int) notify.Draft {
	return notify.Draft{Kind: "greeting", Reference: fmt.Sprint("r", n)}
}

var day = 24 * time.Hour
