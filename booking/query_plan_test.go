package booking_test

import (
	"database/sql"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// A HOT update rewrites no index.
func TestConfirm_IsAHOTUpdate(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store)
	var ids []string
	for n := range 30 {
		ids = append(ids, hold(t, store, request(slot(n))).ID)
	}
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback() }()
	for _, id := range []string{ids[0], ids[7], ids[29]} {
		_, err := store.Tx(tx).Confirm(t.Context(), id)
		require.NoError(t, err)
	}
	_, err = store.Tx(tx).Extend(t.Context(), ids[10], slot(0))
	require.NoError(t, err)
	const updated = `SELECT pg_stat_get_xact_tuples_updated('booking_platform.bookings'::regclass)`
	const hot = `SELECT pg_stat_get_xact_tuples_hot_updated('booking_platform.bookings'::regclass)`
	require.Equal(t, 4, count(t, tx, updated))
	require.Equal(t, 4, count(t, tx, hot))
	_, err = store.Tx(tx).Release(t.Context(), ids[20])
	require.NoError(t, err)
	require.Equal(t, 5, count(t, tx, updated))
	require.Equal(t, 4, count(t, tx, hot), "a release is not a HOT update, so the test can fail")
}

func fillYear(t *testing.T, db *sql.DB) booking.Resource {
	t.Helper()
	store := newStore(t, db)
	r := create(t, store)
	for _, slug := range []string{"a", "b", "c", "d"} {
		create(t, store, func(r *booking.Resource) { r.Slug = slug })
	}
	exec(t, db, `
		INSERT INTO booking_platform.bookings (
			id, resource_id, units, party, during, blocked, status, hold_expires_at, amount_minor, currency, reference
		)
		SELECT gen_random_uuid(), r.id, '{[1,2)}', 1, s, s, 'confirmed', lower(s), 0, 'eur', 'order ' || n
		FROM booking_platform.resources r, generate_series(1, 4000) n,
			LATERAL (SELECT tstzrange(now() - n * interval '1 hour', now() - (n - 1) * interval '1 hour')) AS t(s)`)
	exec(t, db, `
		INSERT INTO booking_platform.hold_deadlines (due_at, booking_id)
		SELECT statement_timestamp() + interval '1 hour' + n * interval '1 second', gen_random_uuid()
			FROM generate_series(1, 20000) n`)
	exec(t, db, `VACUUM ANALYZE`)
	return r
}

// Filling the table takes longer than all checks, so they share it; those that change it
// come last.
func TestQueryPlans(t *testing.T) {
	t.Parallel()
	url := testdb.Direct(t, testdb.URL(t), sessions)
	db := testdb.Open(t, testdb.PQ, url)
	r := fillYear(t, db)
	t.Run("statements read indexes", func(t *testing.T) { statementsReadIndexes(t, db, r) })
	t.Run("generic plans read indexes", func(t *testing.T) { genericPlansReadIndexes(t, db, r) })
	t.Run("complete past reads its index", func(t *testing.T) { completePastReadsItsIndex(t, db) })
	t.Run("sweep with nothing due is cheap", func(t *testing.T) {
		require.Less(t, pages(t, db, booking.ReleaseExpiredSQL, booking.BatchSize, ""), 30)
	})
	t.Run("prepared statements are planned once", func(t *testing.T) {
		preparedStatementsArePlannedOnce(t, testdb.Open(t, testdb.PQBinary, url))
	})
	t.Run("feed reads indexes", func(t *testing.T) { feedReadsIndexes(t, db, r) })
	t.Run("backlog reads no bookings without a deadline", func(t *testing.T) { backlogIsCheap(t, db) })
}

func statementsReadIndexes(t *testing.T, db *sql.DB, r booking.Resource) {
	t.Helper()
	from, to := time.Now(), time.Now().Add(time.Hour)
	const overlap, key, deadline = "bookings_no_overlap", "bookings_idempotency_key", "hold_deadlines_pkey"

	found := indexes(t, db, booking.HoldSQL, r.ID, r.ID, r.ID, from, to, from, to, 1, "", "", "", 0, "eur", "", "",
		[]byte{}, "{}", "", "", []byte("a"), 3, []byte("b"), 100, []byte("c"), 12, "", nil, "", "", "")
	require.Contains(t, found, overlap)
	require.NotContains(t, found, "Seq Scan on bookings")
	found = indexes(t, db, booking.OccupancySQL, "{"+r.ID+"}", from, to.Add(7*24*time.Hour))
	require.Contains(t, found, overlap)
	require.NotContains(t, found, "Seq Scan on bookings")
	found = indexes(t, db, booking.OccupancyOneSQL, r.ID, from, to.Add(7*24*time.Hour))
	require.Contains(t, found, overlap)
	require.NotContains(t, found, "Seq Scan on bookings")
	found = indexes(t, db, booking.ReleaseLapsedSQL, r.ID, from, to, "")
	require.Contains(t, found, overlap)
	require.NotContains(t, found, "Seq Scan on bookings")
	require.Equal(t, []string{key}, indexes(t, db, booking.BookingByKeySQL, "key", []byte("a")))
	found = indexes(t, db, booking.ReleaseExpiredSQL, booking.BatchSize, "")
	require.Contains(t, found, deadline)
	require.NotContains(t, found, "Seq Scan on hold_deadlines")
	require.NotContains(t, found, "Seq Scan on bookings")
}

// Generic plans of prepared statements read the same indexes.
func genericPlansReadIndexes(t *testing.T, db *sql.DB, r booking.Resource) {
	t.Helper()
	exec(t, db, `
		INSERT INTO booking_platform.hold_quota (scope, key, number, booking_id)
		SELECT 'email', sha256(n::text::bytea), 1, gen_random_uuid() FROM generate_series(1, 5000) n`)
	exec(t, db, `ANALYZE booking_platform.hold_quota`)
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	for _, statement := range []string{
		`SET plan_cache_mode = force_generic_plan`, `PREPARE hold AS ` + booking.HoldSQL,
		`PREPARE taken AS ` + booking.OccupancySQL,
		`PREPARE one AS ` + booking.OccupancyOneSQL,
	} {
		exec(t, conn, statement)
	}
	found := indexes(t, conn, `EXECUTE hold ('`+r.ID+`', '`+r.ID+`', '`+r.ID+`', now(), now(), now(), now(), 1, '',
		'', '', 0, 'eur', '', '', '', '{}', '', '', 'a', 3, 'b', 100, 'c', 12, '', NULL, '', '', '')`)
	require.Contains(t, found, "bookings_no_overlap")
	require.Contains(t, found, "hold_quota_pkey")
	require.NotContains(t, found, "Seq Scan on bookings")
	for _, taken := range []string{`EXECUTE taken ('{` + r.ID + `}', now(), now())`,
		`EXECUTE one ('` + r.ID + `', now(), now())`} {
		found = indexes(t, conn, taken)
		require.Contains(t, found, "bookings_no_overlap")
		require.NotContains(t, found, "Seq Scan on bookings")
	}
}

// Planning takes longer than running: prepared statements only help with generic plans.
func preparedStatementsArePlannedOnce(t *testing.T, db *sql.DB) {
	t.Helper()
	db.SetMaxOpenConns(1)
	store := withPrepare(t, db)
	for n := range 12 {
		b := hold(t, store, request(slot(n)))
		_, err := store.Hold(t.Context(), request(slot(n)))
		require.ErrorIs(t, err, booking.ErrSlotTaken)
		_, err = store.Confirm(t.Context(), b.ID)
		require.NoError(t, err)
		_, err = store.Slots(t.Context(), "court", slot(0), slot(7*24), 1)
		require.NoError(t, err)
	}
	require.Equal(t, 3,
		count(t, db, `SELECT count(*) FROM pg_prepared_statements WHERE generic_plans >= 6 AND custom_plans <= 6`))
}

// Much is due, or nothing.
func completePastReadsItsIndex(t *testing.T, db *sql.DB) {
	t.Helper()
	const never, all = 20000 * 3600.0, 3600.0
	for _, after := range []float64{never, all} {
		found := indexes(t, db, booking.CompletePastSQL, after, booking.BatchSize, "")
		require.ElementsMatch(t, []string{"bookings_by_end", "bookings_pkey"}, found)
	}
	require.Less(t, pages(t, db, booking.CompletePastSQL, never, booking.BatchSize, ""), 30)
	require.Greater(t, pages(t, db, booking.CompletePastSQL, all, booking.BatchSize, ""), 1000,
		"so the test can fail")
}

func feedReadsIndexes(t *testing.T, db *sql.DB, r booking.Resource) {
	t.Helper()
	// Many future bookings, not yet in Postgres's statistics.
	exec(t, db, `ALTER TABLE booking_platform.bookings SET (autovacuum_enabled = false)`)
	exec(t, db, `
		INSERT INTO booking_platform.bookings (id, resource_id, units, party, during, blocked, status,
			hold_expires_at, amount_minor, currency)
		SELECT gen_random_uuid(), r.id, '{[1,2)}', 1, s, s, 'cancelled', lower(s), 0, 'eur'
		FROM booking_platform.resources r, generate_series(1, 1000) n,
			LATERAL (SELECT tstzrange(now() + n * interval '1 hour', now() + (n + 1) * interval '1 hour')) AS t(s)`)
	// A scan and a sort are fine where there are fewer rows than the limit.
	reads := func() []string {
		return slices.DeleteFunc(indexes(t, db, booking.FeedBookingsSQL, r.ID, 5000),
			func(s string) bool { return s == "Sort" })
	}
	const start = "bookings_by_resource_start"
	require.Equal(t, []string{start, start}, reads())
	exec(t, db, `ANALYZE booking_platform.bookings`)
	require.Equal(t, []string{start, start}, reads())
	exec(t, db, `
		INSERT INTO booking_platform.calendar_feeds (token_hash, resource_id)
		SELECT sha256(n::text::bytea), $1::uuid FROM generate_series(1, 5000) n`, r.ID)
	exec(t, db, `ANALYZE booking_platform.calendar_feeds`)
	require.Contains(t, indexes(t, db, booking.FeedResourceSQL, []byte("hash")), "calendar_feeds_pkey")
}

// Bookings without a deadline are not read.
func backlogIsCheap(t *testing.T, db *sql.DB) {
	t.Helper()
	exec(t, db, `DELETE FROM booking_platform.hold_deadlines`)
	exec(t, db, `INSERT INTO booking_platform.hold_deadlines SELECT hold_expires_at, id
		FROM booking_platform.bookings LIMIT 4000`)
	exec(t, db, `VACUUM ANALYZE booking_platform.hold_deadlines`)
	require.ElementsMatch(t, []string{"Seq Scan on hold_deadlines", "bookings_pkey"},
		indexes(t, db, booking.BacklogSQL))
}

// indexes returns the indexes that a plan reads, "Seq Scan on TABLE", and "Sort".
func indexes(t *testing.T, db booking.Querier, query string, args ...any) []string {
	t.Helper()
	var text string
	require.NoError(t, db.QueryRowContext(t.Context(), `EXPLAIN (FORMAT JSON) `+query, args...).Scan(&text))
	var found []string
	var walk func(node any)
	walk = func(node any) {
		switch node := node.(type) {
		case []any:
			for _, child := range node {
				walk(child)
			}
		case map[string]any:
			if name, ok := node["Index Name"].(string); ok {
				found = append(found, name)
			}
			if node["Node Type"] == "Seq Scan" {
				found = append(found, "Seq Scan on "+node["Relation Name"].(string))
			}
			if node["Node Type"] == "Sort" || node["Node Type"] == "Incremental Sort" {
				found = append(found, "Sort")
			}
			for _, child := range node {
				walk(child)
			}
		}
	}
	var plan any
	require.NoError(t, json.NewDecoder(strings.NewReader(text)).Decode(&plan))
	walk(plan)
	return found
}

func pages(t *testing.T, db booking.Querier, query string, args ...any) int {
	t.Helper()
	var text string
	require.NoError(t, db.QueryRowContext(t.Context(), `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) `+query,
		args...).Scan(&text))
	var plan []struct {
		Plan struct {
			Hit  int `json:"Shared Hit Blocks"`
			Read int `json:"Shared Read Blocks"`
		}
	}
	require.NoError(t, json.Unmarshal([]byte(text), &plan))
	require.Len(t, plan, 1)
	return plan[0].Plan.Hit + plan[0].Plan.Read
}
