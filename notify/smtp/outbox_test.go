package smtp_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/mail"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/notify"
	"github.com/booking-platform/booking-platform/notify/smtp"
)

// The variables of a child process, which sends what is due until it is killed.
const (
	childDatabase = "NOTIFY_TEST_DATABASE"
	childServer   = "NOTIFY_TEST_SERVER"
)

func TestMain(m *testing.M) {
	if databaseURL := os.Getenv(childDatabase); databaseURL != "" {
		if err := sendAsChild(databaseURL, os.Getenv(childServer)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	testdb.Parallel()
	testdb.Main(m)
}

func sendAsChild(databaseURL, server string) error {
	db, err := sql.Open("postgres", databaseURL)
	if err != nil {
		return err
	}
	s, err := outbox(db, server)
	if err != nil {
		return err
	}
	return s.Run(context.Background())
}

// outbox is an outbox of one kind that sends through a server, one mail at a time.
func outbox(db *sql.DB, server string) (*notify.Store, error) {
	out, err := smtp.New(smtp.Options{URL: server, From: "studio@example.com", Timeout: 5 * time.Second})
	if err != nil {
		return nil, err
	}
	return notify.New(db, notify.Options{Domain: "booking.example", Sender: out, Logger: slog.New(slog.DiscardHandler),
		Kinds: map[string]notify.Kind{"greeting": {Compose: func(_ context.Context, m notify.Message) (notify.Mail, error) {
			return notify.Mail{To: m.Reference + "@example.com", Subject: "Hello", Text: "Hello"}, nil
		}}}})
}

func enqueue(t *testing.T, db *sql.DB, s *notify.Store, n int) {
	t.Helper()
	tx, err := db.BeginTx(context.WithoutCancel(t.Context()), nil)
	require.NoError(t, err)
	for i := range n {
		_, err := s.Enqueue(t.Context(), tx, notify.Draft{Kind: "greeting", Reference: fmt.Sprint("r", i)})
		require.NoError(t, err)
	}
	require.NoError(t, tx.Commit())
}

func exec1(t *testing.T, db *sql.DB, query string) {
	t.Helper()
	_, err := db.ExecContext(t.Context(), query)
	require.NoError(t, err)
}

// arrived counts the mails by Message-ID.
func (s *server) arrived(t *testing.T) map[string]int {
	t.Helper()
	all := map[string]int{}
	for _, text := range s.received() {
		m, err := mail.ReadMessage(strings.NewReader(text))
		require.NoError(t, err)
		all[m.Header.Get("Message-ID")]++
	}
	return all
}

// requireOnce: every mail has arrived, and none more often than its uncertain attempts
// explain. It returns how many were repeated.
func requireOnce(t *testing.T, s *notify.Store, arrived map[string]int) (repeated int) {
	t.Helper()
	all, err := s.List(t.Context(), notify.ListOptions{Limit: 500})
	require.NoError(t, err)
	for _, m := range all {
		n := arrived[m.MessageID("booking.example")]
		switch m.State {
		case notify.StateSent:
			require.GreaterOrEqual(t, n, 1, "sent, and not arrived")
		case notify.StateRefused:
		default:
			t.Errorf("message %s is %s: %s", m.ID, m.State, m.Reason)
		}
		require.LessOrEqual(t, n, 1+m.Uncertain, "arrived more often than counted")
		repeated += max(0, n-1)
		delete(arrived, m.MessageID("booking.example"))
	}
	require.Empty(t, arrived, "mails without a message")
	return repeated
}

// The process is killed between the server's acceptance and the record. The mail arrives a
// second time with the same Message-ID, and the repeat is counted.
func TestOutbox_KilledBetweenAcceptanceAndRecord(t *testing.T) {
	t.Parallel()
	databaseURL := testdb.URL(t)
	db := testdb.Open(t, testdb.PQ, databaseURL)
	killed := make(chan struct{})
	var child atomic.Pointer[os.Process]
	var once sync.Once
	s := start(t, func(s *server) {
		s.answer = func(command string) string {
			if command == "." && child.Load() != nil {
				cut := false
				once.Do(func() {
					cut = true
					_ = child.Load().Kill()
					close(killed)
				})
				if cut {
					return "cut" // It is accepted, and the answer reaches no one.
				}
			}
			return ""
		}
	})
	store, err := outbox(db, s.url(""))
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childDatabase+"="+databaseURL, childServer+"="+s.url(""))
	require.NoError(t, cmd.Start())
	child.Store(cmd.Process)
	enqueue(t, db, store, 1)
	<-killed
	require.Error(t, cmd.Wait(), "it was killed")

	all, err := store.List(t.Context(), notify.ListOptions{})
	require.NoError(t, err)
	require.Equal(t, notify.StateDue, all[0].State)
	require.Len(t, s.received(), 1, "accepted, and not recorded")
	n, err := store.Send(t.Context())
	require.NoError(t, err)
	require.Zero(t, n, "the lease holds")
	exec1(t, db, `UPDATE booking_platform.messages SET next_attempt_at = statement_timestamp()`)
	n, err = store.Send(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, 1, requireOnce(t, store, s.arrived(t)))
}

// Three replicas and a server that fails in every way: each mail arrives, and no more
// often than is counted.
func TestOutbox_ThreeReplicasAndABadServer(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	const messages = 150
	faults := map[string][]string{"MAIL": {"421 4.3.2 busy"}, "RCPT": {"450 4.2.0 greylisted", "cut", "550 5.1.1 unknown"},
		"DATA": {"cut"}, ".": {"451 4.3.0 later", "cut", "554 5.7.1 spam"}}
	var healed atomic.Bool
	s := start(t, func(s *server) {
		s.answer = func(command string) string {
			answers := faults[command]
			if healed.Load() || len(answers) == 0 || rand.IntN(8) > 0 {
				return ""
			}
			return answers[rand.IntN(len(answers))]
		}
	})
	var replicas []*notify.Store
	for range 3 {
		store, err := outbox(db, s.url(""))
		require.NoError(t, err)
		replicas = append(replicas, store)
	}
	enqueue(t, db, replicas[0], messages)
	for round := range 8 {
		healed.Store(round == 7)
		exec1(t, db, `UPDATE booking_platform.messages SET next_attempt_at = statement_timestamp()
			WHERE state = 'due' AND NOT leased`)
		var sending sync.WaitGroup
		for _, store := range replicas {
			sending.Go(func() {
				if _, err := store.Send(t.Context()); err != nil && !errors.Is(err, notify.ErrUnavailable) {
					t.Error(err)
				}
			})
		}
		sending.Wait()
	}
	requireOnce(t, replicas[0], s.arrived(t))
	counts, err := replicas[0].Counts(t.Context())
	require.NoError(t, err)
	require.Zero(t, counts.Due)
}
