package notify_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/notify"
)

func TestSend_FailureIsRepeatedUntilItIsGivenUp(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	sent := &outbox{fail: func(context.Context, notify.Mail) error { return errors.New("450 mailbox busy") }}
	s := newStore(t, db, sent)
	m := enqueue(t, db, s, numbered(1))
	for n := range 3 {
		_, err := s.Send(t.Context())
		require.NoError(t, err, "one mail's failure is not the step's")
		m = get(t, s, m.ID)
		require.Equal(t, n+1, m.Attempts)
		require.Equal(t, "450 mailbox busy", m.Reason)
		require.Equal(t, notify.StateDue, m.State)
		pause := 30 * time.Second << n
		wait := m.NextAttemptAt.Sub(m.Now)
		require.Greater(t, wait, pause/2)
		require.Less(t, wait, pause*3/2)
		now(t, db)
	}
	exec(t, db, `UPDATE booking_platform.messages SET due_at = statement_timestamp() - interval '73 hours'`)
	_, err := s.Send(t.Context())
	require.NoError(t, err)
	m = get(t, s, m.ID)
	require.Equal(t, notify.StateRefused, m.State)
	require.Equal(t, 4, m.Attempts)
	counts, err := s.Counts(t.Context())
	require.NoError(t, err)
	require.Equal(t, notify.Counts{Refused: 1}, counts)

	sent.fail = nil
	require.NoError(t, s.Resend(t.Context(), m.ID))
	_, err = s.Send(t.Context())
	require.NoError(t, err)
	require.Equal(t, notify.StateSent, get(t, s, m.ID).State)
}

func TestSend_RefusedAtOnce(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	var results []notify.Result
	s := newStore(t, db, &outbox{fail: func(context.Context, notify.Mail) error {
		return fmt.Errorf("550 no such user: %w", notify.ErrRefused)
	}}, func(o *notify.Options) { o.OnResult = func(_ string, r notify.Result) { results = append(results, r) } })
	m := enqueue(t, db, s, numbered(1))
	_, err := s.Send(t.Context())
	require.NoError(t, err)
	m = get(t, s, m.ID)
	require.Equal(t, notify.StateRefused, m.State)
	require.Equal(t, "550 no such user: refused", m.Reason)
	require.Equal(t, []notify.Result{notify.ResultRefused}, results)
}

// A malformed mail, such as one with a line break in a name, never reaches the sender.
func TestSend_MalformedMailIsRefused(t *testing.T) {
	t.Parallel()
	db, sent := testdb.New(t), &outbox{}
	s := newStore(t, db, sent, func(o *notify.Options) {
		o.Kinds["greeting"] = notify.Kind{Compose: func(context.Context, notify.Message) (notify.Mail, error) {
			return notify.Mail{To: "ann@example.com", ToName: "Ann\r\nBcc: eve@example.com", Subject: "a",
				Text: "b"}, nil
		}}
	})
	m := enqueue(t, db, s, numbered(1))
	_, err := s.Send(t.Context())
	require.NoError(t, err)
	require.Equal(t, notify.StateRefused, get(t, s, m.ID).State)
	require.Empty(t, sent.ids())
}

// The server is gone: one attempt finds out, the others keep their attempts, and all are
// sent when it is back.
func TestSend_UnavailableStopsTheStep(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	var calls atomic.Int64
	sent := &outbox{fail: func(context.Context, notify.Mail) error {
		calls.Add(1)
		return fmt.Errorf("dial: %w", notify.ErrUnavailable)
	}}
	s := newStore(t, db, sent, func(o *notify.Options) { o.Parallel = 1 })
	for n := range 5 {
		enqueue(t, db, s, numbered(n))
	}
	_, err := s.Send(t.Context())
	require.ErrorIs(t, err, notify.ErrUnavailable)
	require.EqualValues(t, 1, calls.Load())
	all, err := s.List(t.Context(), notify.ListOptions{State: notify.StateDue})
	require.NoError(t, err)
	require.Len(t, all, 5)
	attempts := 0
	for _, m := range all {
		attempts += m.Attempts
		require.Less(t, m.NextAttemptAt.Sub(m.Now), 20*time.Second)
	}
	require.Equal(t, 1, attempts)
	sent.fail = nil
	now(t, db)
	n, err := s.Send(t.Context())
	require.NoError(t, err)
	require.Equal(t, 5, n)
}

func TestSend_DropAndPanicAndUnknownKind(t *testing.T) {
	t.Parallel()
	db, sent := testdb.New(t), &outbox{}
	s := newStore(t, db, sent, func(o *notify.Options) {
		o.Kinds["gone"] = notify.Kind{Compose: func(context.Context, notify.Message) (notify.Mail, error) {
			return notify.Mail{}, notify.Drop("cancelled")
		}}
		o.Kinds["panics"] = notify.Kind{Compose: func(context.Context, notify.Message) (notify.Mail, error) {
			panic("no template")
		}}
	})
	gone := enqueue(t, db, s, notify.Draft{Kind: "gone", Reference: "b1"})
	panics := enqueue(t, db, s, notify.Draft{Kind: "panics", Reference: "b1"})
	other := enqueue(t, db, s, notify.Draft{Kind: "of another replica", Reference: "b1"})
	_, err := s.Send(t.Context())
	require.NoError(t, err)
	gone, panics, other = get(t, s, gone.ID), get(t, s, panics.ID), get(t, s, other.ID)
	require.Equal(t, notify.StateDropped, gone.State)
	require.Equal(t, "cancelled", gone.Reason)
	require.Equal(t, notify.StateDue, panics.State)
	require.NotContains(t, panics.Reason, "template")
	require.Equal(t, notify.StateDue, other.State)
	require.Zero(t, other.Attempts)
	require.Empty(t, sent.ids())
}

func TestSend_Expand(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		sent := &outbox{}
		s := newStore(t, db, sent, func(o *notify.Options) {
			o.Kinds["change"] = notify.Kind{Expand: func(_ context.Context, m notify.Message) ([]notify.Draft, error) {
				if m.Occurrence == "quiet" {
					return nil, nil
				}
				return []notify.Draft{{Kind: "greeting", Reference: m.Reference, Occurrence: "customer"},
					{Kind: "greeting", Reference: m.Reference, Occurrence: "owner"}}, nil
			}}
		})
		m := enqueue(t, db, s, notify.Draft{Kind: "change", Reference: "b1", Recipient: "ann@example.com"})
		quiet := enqueue(t, db, s, notify.Draft{Kind: "change", Reference: "b2", Occurrence: "quiet"})
		_, err := s.Send(t.Context())
		require.NoError(t, err)
		require.Len(t, sent.ids(), 2, "sent in the same run")
		require.Equal(t, notify.StateExpanded, get(t, s, m.ID).State)
		require.Empty(t, get(t, s, m.ID).Recipient, "it is not needed any more")
		require.Equal(t, notify.StateExpanded, get(t, s, quiet.ID).State)
		require.ErrorIs(t, s.Resend(t.Context(), m.ID), notify.ErrNotNow)
	})
}

// The process ends between the server's acceptance and the record: the mail is sent a
// second time with the same Message-ID, and counted.
func TestSend_RepeatAfterACrashIsCounted(t *testing.T) {
	t.Parallel()
	db, sent := testdb.New(t), &outbox{}
	var uncertain atomic.Int64
	s := newStore(t, db, sent, func(o *notify.Options) {
		o.OnResult = func(_ string, r notify.Result) {
			if r == notify.ResultUncertain {
				uncertain.Add(1)
			}
		}
	})
	m := enqueue(t, db, s, numbered(1))
	// What a crash after acceptance leaves behind.
	exec(t, db, `UPDATE booking_platform.messages SET leased = true, attempts = 1,
		next_attempt_at = statement_timestamp() + interval '150 seconds'`)
	_, err := s.Send(t.Context())
	require.NoError(t, err)
	require.Empty(t, sent.ids(), "the lease still holds")
	now(t, db)
	_, err = s.Send(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{m.MessageID("booking.example")}, sent.ids())
	m = get(t, s, m.ID)
	require.Equal(t, notify.StateSent, m.State)
	require.Equal(t, 1, m.Uncertain)
	require.EqualValues(t, 1, uncertain.Load())
}

func TestSend_UncertainIsBounded(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	sent := &outbox{fail: func(context.Context, notify.Mail) error {
		return fmt.Errorf("cut: %w", notify.ErrUncertain)
	}}
	s := newStore(t, db, sent)
	m := enqueue(t, db, s, numbered(1))
	for range 10 {
		_, err := s.Send(t.Context())
		require.NoError(t, err)
		now(t, db)
	}
	m = get(t, s, m.ID)
	require.Equal(t, notify.StateRefused, m.State)
	require.Equal(t, 4, m.Uncertain)
	require.Equal(t, 5, m.Attempts)
}

// A result that comes after the lease has ended counts if the mail was sent.
func TestSend_ResultAfterTheLease(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err   error
		state notify.State
	}{
		"sent": {nil, notify.StateSent}, "refused": {notify.ErrRefused, notify.StateDue},
		"failed": {errors.New("busy"), notify.StateDue},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := testdb.New(t)
			sent := &outbox{fail: func(ctx context.Context, _ notify.Mail) error {
				// Another replica claims it meanwhile.
				_, err := db.ExecContext(ctx, `UPDATE booking_platform.messages SET attempts = attempts + 1,
					next_attempt_at = statement_timestamp() + interval '1 hour'`)
				return errors.Join(err, c.err)
			}}
			s := newStore(t, db, sent)
			m := enqueue(t, db, s, numbered(1))
			_, err := s.Send(t.Context())
			require.NoError(t, err)
			require.Equal(t, c.state, get(t, s, m.ID).State)
		})
	}
}

// Three replicas, each with several workers, send each message once.
func TestSend_ThreeReplicas(t *testing.T) {
	t.Parallel()
	db, sent := testdb.New(t), &outbox{}
	const messages = 500
	stores := []*notify.Store{newStore(t, db, sent), newStore(t, db, sent), newStore(t, db, sent)}
	inTx(t, db, func(tx *sql.Tx) {
		for n := range messages {
			_, err := stores[0].Enqueue(t.Context(), tx, numbered(n))
			require.NoError(t, err)
		}
	})
	var replicas sync.WaitGroup
	for _, s := range stores {
		replicas.Go(func() {
			for range 2 {
				_, err := s.Send(t.Context())
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	replicas.Wait()
	ids := sent.ids()
	require.Len(t, ids, messages)
	slices.Sort(ids)
	require.Len(t, slices.Compact(ids), messages)
	counts, err := stores[0].Counts(t.Context())
	require.NoError(t, err)
	require.Equal(t, notify.Counts{}, counts)
}

// Behind hundreds of reminders, a new message is sent with the second claim.
func TestSend_NewMessagesDoNotWaitBehindABacklog(t *testing.T) {
	t.Parallel()
	db, sent := testdb.New(t), &outbox{}
	s := newStore(t, db, sent, func(o *notify.Options) { o.Parallel = 1 })
	inTx(t, db, func(tx *sql.Tx) {
		for n := range 200 {
			d := numbered(n)
			d.DueAt = time.Now().Add(-time.Hour)
			_, err := s.Enqueue(t.Context(), tx, d)
			require.NoError(t, err)
		}
	})
	m := enqueue(t, db, s, numbered(1000))
	_, err := s.Send(t.Context())
	require.NoError(t, err)
	require.Less(t, slices.Index(sent.ids(), m.MessageID("booking.example")), 64)
	require.Len(t, sent.ids(), 201)
}

// The end of the context: what has begun may finish, the rest is released at once.
func TestSend_ShutdownReleasesTheRest(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	ctx, cancel := context.WithCancel(t.Context())
	sent := &outbox{fail: func(ctx context.Context, _ notify.Mail) error {
		cancel()
		return ctx.Err()
	}}
	s := newStore(t, db, sent, func(o *notify.Options) { o.Parallel = 1 })
	for n := range 5 {
		enqueue(t, db, s, numbered(n))
	}
	_, err := s.Send(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.Len(t, sent.ids(), 1)
	sent.fail = nil
	n, err := s.Send(t.Context())
	require.NoError(t, err)
	require.Equal(t, 4, n, "without waiting for a lease")
	all, err := s.List(t.Context(), notify.ListOptions{})
	require.NoError(t, err)
	for _, m := range all {
		require.Equal(t, 1, m.Attempts)
		require.Zero(t, m.Uncertain)
	}
}

// A release that is repeated, because its answer was lost, does not end the lease that
// another replica has by then, with the same number of attempts.
func TestSend_ReleaseOfAnotherLease(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	ctx, cancel := context.WithCancel(t.Context())
	sent := &outbox{fail: func(ctx context.Context, _ notify.Mail) error {
		defer cancel()
		_, err := db.ExecContext(ctx, `UPDATE booking_platform.messages
			SET next_attempt_at = statement_timestamp() + interval '1 hour'`)
		return err
	}}
	s := newStore(t, db, sent, func(o *notify.Options) { o.Parallel = 1 })
	for n := range 2 {
		enqueue(t, db, s, numbered(n))
	}
	_, err := s.Send(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.Len(t, sent.ids(), 1)
	var leases int
	require.NoError(t, db.QueryRowContext(t.Context(), `SELECT count(*) FROM booking_platform.messages
		WHERE leased AND attempts = 1 AND next_attempt_at > statement_timestamp() + interval '50 minutes'`).Scan(&leases))
	require.Equal(t, 1, leases)
}

// The database fails while a result is recorded: it is repeated.
func TestSend_ResultIsRecordedLater(t *testing.T) {
	t.Parallel()
	db, sent := testdb.New(t), &outbox{}
	s := newStore(t, db, sent)
	m := enqueue(t, db, s, numbered(1))
	exec(t, db, `CREATE SEQUENCE public.tries`)
	exec(t, db, `CREATE FUNCTION public.fail_twice() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			IF NEW.state = 'sent' AND nextval('public.tries') < 3 THEN RAISE EXCEPTION 'no'; END IF;
			RETURN NEW;
		END $$`)
	exec(t, db, `CREATE TRIGGER fail_twice BEFORE UPDATE ON booking_platform.messages
		FOR EACH ROW EXECUTE FUNCTION public.fail_twice()`)
	_, err := s.Send(t.Context())
	require.NoError(t, err)
	require.Equal(t, notify.StateSent, get(t, s, m.ID).State)
	require.Len(t, sent.ids(), 1)
}

func TestRun_SendsUntilTheContextEnds(t *testing.T) {
	t.Parallel()
	db, sent := testdb.New(t), &outbox{}
	ctx, cancel := context.WithCancel(t.Context())
	var once sync.Once
	sent.fail = func(context.Context, notify.Mail) error { once.Do(cancel); return nil }
	var mu sync.Mutex
	steps := map[string]bool{}
	s := newStore(t, db, sent, func(o *notify.Options) {
		o.OnStep = func(step string, _ time.Duration, _ int, _ error) {
			mu.Lock()
			defer mu.Unlock()
			steps[step] = true
		}
	})
	enqueue(t, db, s, numbered(1))
	require.NoError(t, s.Run(ctx))
	require.Len(t, sent.ids(), 1)
	for step := range steps {
		require.Contains(t, notify.Steps(), step)
	}
}
