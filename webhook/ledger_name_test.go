package webhook_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/webhook"
)

func named(t testing.TB, db *sql.DB, name string, h webhook.Handler, types ...string) *webhook.Receiver {
	t.Helper()
	r := newReceiver(t, db, webhook.Options{Name: name})
	for _, eventType := range types {
		r.Handle(eventType, h)
	}
	return r
}

func effectOf(name string) webhook.Handler {
	return func(ctx context.Context, tx webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
		_, err := tx.ExecContext(ctx, `INSERT INTO public.effects (event_id) VALUES ($1::text)`, name+" "+ev.ID)
		return webhook.Processed, err
	}
}

// effectsOf lists the effects.
func effectsOf(t testing.TB, db *sql.DB) []string {
	t.Helper()
	var all sql.NullString
	require.NoError(t, db.QueryRowContext(t.Context(),
		`SELECT string_agg(event_id, ',' ORDER BY event_id) FROM public.effects`).Scan(&all))
	return strings.FieldsFunc(all.String, func(c rune) bool { return c == ',' })
}

func retry(t testing.TB, db *sql.DB, r *webhook.Receiver) int {
	t.Helper()
	_, err := db.ExecContext(t.Context(), dueNow)
	require.NoError(t, err)
	n, err := r.RetryWaiting(t.Context())
	require.NoError(t, err)
	return n
}

// M1: Two services on one database receive the same event id. Each has its own effect,
// and neither sees the other's events.
func TestName_TwoServicesOneDatabase(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		effects(t, db)
		unmatched := true
		shop := named(t, db, "shop", func(ctx context.Context, tx webhook.Tx,
			ev webhook.Event) (webhook.Outcome, error) {
			switch {
			case ev.Type == "fails" && unmatched:
				return "", errors.New("no luck")
			case ev.Type == "early" && unmatched:
				return webhook.Unmatched, nil
			}
			return effectOf("shop")(ctx, tx, ev)
		}, completed, "both", "early", "fails")
		mail := named(t, db, "mail", effectOf("mail"), "both")

		require.Equal(t, done(webhook.Ignored), send(t, mail, event("evt_1", completed)))
		require.Equal(t, done(webhook.Processed), send(t, shop, event("evt_1", completed)), "the same event id")
		require.Equal(t, done(webhook.Processed), send(t, mail, event("evt_2", "both")))
		require.Equal(t, done(webhook.Processed), send(t, shop, event("evt_2", "both")))
		require.Equal(t, done(webhook.Duplicate), send(t, shop, event("evt_2", "both")))
		require.Equal(t, []string{"mail evt_2", "shop evt_1", "shop evt_2"}, effectsOf(t, db))

		// The open events of one are not retried, ended or counted by the other.
		require.Equal(t, done(webhook.Unmatched), send(t, shop, event("evt_3", "early")))
		require.Equal(t, failed, send(t, shop, event("evt_4", "fails")))
		require.Zero(t, retry(t, db, mail))
		all, err := mail.Replay(t.Context(),
			webhook.ReplayOptions{Outcomes: []webhook.Outcome{webhook.Failed, webhook.Unmatched, webhook.Ignored}})
		require.NoError(t, err)
		require.Empty(t, all)
		require.Equal(t, map[string]string{"evt_3": ">unknown"},
			became(t, mail, webhook.ReplayOptions{IDs: []string{"evt_3"}}))
		ended, err := webhook.NewLedger(db, mail.Name()).Ignore(t.Context(), "evt_3")
		require.NoError(t, err)
		require.Equal(t, []webhook.IgnoreResult{{ID: "evt_3"}}, ended)
		_, err = mail.DeleteOld(t.Context())
		require.NoError(t, err)
		backlog, err := mail.Ledger().Backlog(t.Context())
		require.NoError(t, err)
		require.Zero(t, backlog.Failed+backlog.Unmatched)
		backlog, err = shop.Ledger().Backlog(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1, backlog.Failed)
		require.Equal(t, 1, backlog.UnmatchedSessions)
		_, err = mail.Ledger().Find(t.Context(), "evt_3")
		require.ErrorIs(t, err, webhook.ErrNotFound)
		list, err := mail.Ledger().List(t.Context(), webhook.ListOptions{Before: "evt_3"})
		require.NoError(t, err)
		require.Empty(t, list, "an id that is not in its ledger")
		list, err = mail.Ledger().List(t.Context(), webhook.ListOptions{})
		require.NoError(t, err)
		require.Len(t, list, 2)

		unmatched = false
		require.Equal(t, 2, retry(t, db, shop))
		require.Equal(t, []string{"mail evt_2", "shop evt_1", "shop evt_2", "shop evt_3", "shop evt_4"},
			effectsOf(t, db))
	})
}

// M1: During a rolling deployment, an event that an old replica without a handler
// acknowledges is processed once by the new one.
func TestName_OldReplicaBesideNewOneAndAnotherService(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		effects(t, db)
		old := named(t, db, "shop", effectOf("shop"), completed)
		luck := errors.New("no luck")
		fresh := named(t, db, "shop", func(ctx context.Context, tx webhook.Tx,
			ev webhook.Event) (webhook.Outcome, error) {
			if ev.ID == "evt_fails" && luck != nil {
				return "", luck
			}
			return effectOf("shop")(ctx, tx, ev)
		}, completed, "charge.refunded")
		mail := named(t, db, "mail", effectOf("mail"), "charge.refunded")

		// The old replica first; then a delivery to the new one, a retry, and a replay.
		for _, id := range []string{"evt_redelivered", "evt_retried", "evt_replayed"} {
			require.Equal(t, done(webhook.Ignored), send(t, old, event(id, "charge.refunded")))
			e, err := old.Ledger().Find(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, webhook.ReasonNoHandler, e.Reason)
			require.NotEmpty(t, e.Payload, "kept for the replica that has a handler")
			require.Equal(t, done(webhook.Processed), send(t, mail, event(id, "charge.refunded")))
		}
		require.Equal(t, done(webhook.Processed), send(t, fresh, event("evt_redelivered", "charge.refunded")))
		require.Equal(t, map[string]string{"evt_replayed": "ignored>processed"},
			became(t, fresh, webhook.ReplayOptions{IDs: []string{"evt_replayed"},
				Outcomes: []webhook.Outcome{webhook.Ignored}}))
		require.Zero(t, retry(t, db, old))
		require.Equal(t, 1, retry(t, db, fresh))

		// The new replica first, which fails; then a delivery to the old one, a retry and
		// a replay.
		require.Equal(t, failed, send(t, fresh, event("evt_fails", "charge.refunded")))
		require.Equal(t, done(webhook.Ignored), send(t, old, event("evt_fails", "charge.refunded")))
		require.Zero(t, retry(t, db, old))
		require.Equal(t, map[string]string{"evt_fails": "failed>no_handler"},
			became(t, old, webhook.ReplayOptions{IDs: []string{"evt_fails"}}))
		e, err := old.Ledger().Find(t.Context(), "evt_fails")
		require.NoError(t, err)
		require.Equal(t, webhook.Failed, e.Outcome)
		luck = nil
		require.Equal(t, 1, retry(t, db, fresh))

		require.Equal(t, done(webhook.Duplicate), send(t, old, event("evt_fails", "charge.refunded")))
		require.Equal(t, []string{
			"mail evt_redelivered", "mail evt_replayed", "mail evt_retried",
			"shop evt_fails", "shop evt_redelivered", "shop evt_replayed", "shop evt_retried",
		}, effectsOf(t, db))
	})
}

// M1: An event that an old replica ignored, and whose handler fails in the new one, is
// failed from then on.
func TestName_IgnoredEventFails(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	send(t, newReceiver(t, db, webhook.Options{}), event("evt_1", completed))
	r := newReceiver(t, db, webhook.Options{})
	r.Handle(completed, failing(errors.New("no luck")))
	_, err := db.ExecContext(t.Context(), dueNow)
	require.NoError(t, err)
	_, err = r.RetryWaiting(t.Context())
	require.ErrorContains(t, err, "no luck")
	e := entry(t, db, "evt_1")
	require.Equal(t, webhook.Failed, e.Outcome)
	require.Empty(t, e.Reason)
	require.NotEmpty(t, e.Payload)
}

// M1: Replicas that differ in mode or accounts do not end each other's events.
func TestName_ReplicasOfOtherModeOrAccounts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		without, with webhook.Options
		fields        string
	}{
		"test to live": {webhook.Options{Mode: webhook.TestMode}, webhook.Options{Mode: webhook.LiveMode},
			`"livemode":true`},
		"live to test": {webhook.Options{Mode: webhook.LiveMode}, webhook.Options{Mode: webhook.TestMode},
			`"livemode":false`},
		"one account": {webhook.Options{}, webhook.Options{Accounts: []string{"acct_1"}}, `"account":"acct_1"`},
		"all accounts": {webhook.Options{}, webhook.Options{Accounts: []string{webhook.AnyAccount}},
			`"account":"acct_1"`},
		"another account": {webhook.Options{Accounts: []string{"acct_2"}},
			webhook.Options{Accounts: []string{"acct_1"}}, `"account":"acct_1"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := testdb.New(t)
			effects(t, db)
			without, with := newReceiver(t, db, c.without), newReceiver(t, db, c.with)
			without.Handle(completed, effect)
			with.Handle(completed, effect)
			payload := []byte(`{"id":"evt_1","type":"checkout.session.completed",` + c.fields +
				`,"data":{"object":{"id":"cs_1"}}}`)
			require.Equal(t, done(webhook.Ignored), send(t, without, payload))
			require.Zero(t, retry(t, db, without))
			require.Equal(t, 1, retry(t, db, with))
			require.Equal(t, 1, countEffects(t, db))
			require.Equal(t, done(webhook.Duplicate), send(t, without, payload))
		})
	}
}

// M1: A failed event of a type that no replica handles would stay failed for ever.
func TestName_FailureWithoutHandlerIsNotRecorded(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	r := newReceiver(t, db, webhook.Options{})
	_, err := db.ExecContext(t.Context(), `
		ALTER TABLE booking_platform.payment_events ADD CONSTRAINT planted CHECK (outcome <> 'ignored') NOT VALID`)
	require.NoError(t, err)
	require.Equal(t, failed, send(t, r, event("evt_1", "other")))
	_, exists := ledger(t, db, "evt_1")
	require.False(t, exists)
}

// M1: They are not retried or counted, and lose their payload. The query for retries does
// not read them.
func TestName_ManyUnhandledEvents(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	_, err := db.ExecContext(t.Context(), `
		INSERT INTO booking_platform.payment_events (receiver, stripe_event_id, type, outcome, reason, payload,
		received_at, processed_at, retry_at)
		SELECT 'default', 'evt_' || i, 'invoice.created', 'ignored', 'no_handler', '{}', at, at, at
		FROM generate_series(1, 20000) i, LATERAL (SELECT statement_timestamp() - i * interval '40 seconds' AS at) x;
		ANALYZE booking_platform.payment_events`)
	require.NoError(t, err)
	r := newReceiver(t, db, webhook.Options{})
	r.Handle(completed, effect)
	n, err := r.RetryWaiting(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)
	backlog, err := r.Ledger().Backlog(t.Context())
	require.NoError(t, err)
	require.Equal(t, webhook.Backlog{}, backlog)
	p := plan(t, db, webhook.LeaseSQL, "default", "checkout.session.completed", "", "\x1f", int64(259200),
		int64(604800), 50, 25)
	require.Contains(t, p, "payment_events_passed_over")
	require.NotContains(t, p, "Seq Scan on payment_events")

	// A week is kept even if KeepPayloadFor is shorter.
	n, err = newReceiver(t, db, webhook.Options{KeepPayloadFor: 1}).DeleteOld(t.Context())
	require.NoError(t, err)
	var kept int
	require.NoError(t, db.QueryRowContext(t.Context(),
		`SELECT count(payload) FROM booking_platform.payment_events`).Scan(&kept))
	require.InDelta(t, 7*24*90, kept, 2)
	require.Equal(t, 20000-kept, n)
}

func TestName_Refused(t *testing.T) {
	t.Parallel()
	db := noDatabase(t)
	for _, name := range []string{" ", "Shop", "a b", "-a", "a,b", "ä", "A name", "a\x00", strings.Repeat("a", 64)} {
		_, err := webhook.New(db, []string{secret}, webhook.Options{Name: name})
		require.Error(t, err, name)
		_, err = webhook.NewLedger(db, name).List(t.Context(), webhook.ListOptions{})
		require.ErrorContains(t, err, "name", name)
	}
	require.Equal(t, webhook.DefaultName, newReceiver(t, db, webhook.Options{}).Name())
	require.Equal(t, "shop-2.mail", newReceiver(t, db, webhook.Options{Name: "shop-2.mail"}).Name())
}
