package ratelimit_test

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/ratelimit"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

func TestMain(m *testing.M) { testdb.Main(m) }

var secret = []byte("a secret of a test")

func budget(name string, burst int) ratelimit.Budget {
	return ratelimit.Budget{Key: ratelimit.Key(secret, name), Rate: ratelimit.Rate{Burst: burst, Every: time.Hour}}
}

// allowed counts what is allowed before a refusal.
func allowed(t *testing.T, db *sql.DB, choices ...ratelimit.Choice) (n int) {
	t.Helper()
	for ; n < 1000; n++ {
		wait, err := ratelimit.Take(t.Context(), db, choices...)
		require.NoError(t, err)
		if wait > 0 {
			require.LessOrEqual(t, wait, time.Hour)
			return n
		}
	}
	return n
}

// M6: Exactly the burst, on two replicas, for budgets without a row.
func TestTake_ExactOnEveryReplica(t *testing.T) {
	t.Parallel()
	url := testdb.URL(t)
	replicas := []*sql.DB{testdb.Open(t, testdb.PQBinary, url), testdb.Open(t, testdb.PGX, url)}
	for burst, choices := range map[int][]ratelimit.Choice{
		1:     {{budget("one", 1)}},
		7:     {{budget("seven", 7)}, {budget("wide", 50)}},
		4 + 5: {{budget("many", 60)}, {budget("first", 4), budget("second", 5)}},
	} {
		t.Run(fmt.Sprint(burst), func(t *testing.T) {
			t.Parallel()
			var taken, refused atomic.Int32
			var all sync.WaitGroup
			for n := range 40 {
				all.Go(func() {
					wait, err := ratelimit.Take(context.Background(), replicas[n%2], choices...)
					switch {
					case err != nil:
						t.Error(err)
					case wait > 0:
						refused.Add(1)
					default:
						taken.Add(1)
					}
				})
			}
			all.Wait()
			require.EqualValues(t, burst, taken.Load())
			require.EqualValues(t, 40-burst, refused.Load())
		})
	}
}

func TestTake_RefusedAttemptTakesNothing(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	require.Equal(t, 2, allowed(t, db, ratelimit.Choice{budget("network", 2)},
		ratelimit.Choice{budget("own", 3), budget("shared", 1)}))
	require.Equal(t, 1, allowed(t, db, ratelimit.Choice{budget("own", 3)}),
		"two of three were taken, and none by the refused attempt")
	require.Equal(t, 1, allowed(t, db, ratelimit.Choice{budget("shared", 1)}), "the first of the choice was not empty")
	require.Zero(t, allowed(t, db, ratelimit.Choice{budget("own", 3), budget("shared", 1)}))
}

func TestTake_RefillsOneAfterEvery(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	b := budget("b", 2)
	require.Equal(t, 2, allowed(t, db, ratelimit.Choice{b}))
	_, err := db.Exec(`UPDATE booking_platform.rate_limits SET full_at = full_at - interval '1 hour'`)
	require.NoError(t, err)
	require.Equal(t, 1, allowed(t, db, ratelimit.Choice{b}))
	_, err = db.Exec(`UPDATE booking_platform.rate_limits SET full_at = full_at + interval '10 years'`)
	require.NoError(t, err)
	require.Zero(t, allowed(t, db, ratelimit.Choice{b}), "and the wait is an hour at most")
}

// In opposite orders attempts wait and do not deadlock (40P01). Nothing is retried here.
func TestTake_OppositeOrdersDoNotDeadlock(t *testing.T) {
	t.Parallel()
	// Above READ COMMITTED they would fail with 40001.
	db := testdb.Open(t, testdb.PQ, testdb.Direct(t, testdb.URL(t), "a connection begins with its settings")+
		"&default_transaction_isolation=read%20committed")
	a, b := budget("a", 1_000_000), budget("b", 1_000_000)
	a.Rate.Every, b.Rate.Every = time.Millisecond, time.Millisecond
	orders := [][]ratelimit.Choice{{{a}, {b}}, {{b}, {a}}}
	var all sync.WaitGroup
	for n := range 16 {
		all.Go(func() {
			for range 50 {
				if err := ratelimit.TakeOnce(context.Background(), db, orders[n%2]...); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

// Without the table or the database nothing is allowed.
func TestTake_FailsClosed(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := ratelimit.Take(ctx, db, ratelimit.Choice{budget("b", 1)})
	require.ErrorIs(t, err, context.Canceled)
	_, err = db.Exec(`DROP TABLE booking_platform.rate_limits`)
	require.NoError(t, err)
	_, err = ratelimit.Take(t.Context(), db, ratelimit.Choice{budget("b", 1)})
	require.Error(t, err)
}

// Lists of parts that are equal when joined have different keys.
func TestKey_PartsAreSeparated(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, parts := range [][]string{{}, {""}, {"a", "b"}, {"ab"}, {"a\x00b"}, {"a", "b", ""}, {"", "a", "b"}} {
		key := ratelimit.Key(secret, parts...)
		require.Len(t, key, 64)
		require.False(t, seen[key], "%q", parts)
		seen[key] = true
	}
	require.NotEqual(t, ratelimit.Key(secret, "a"), ratelimit.Key([]byte("another"), "a"))
}

// M6: The clients behind a NAT64 share a /64, and a 6to4 client has 65,536 of them.
func TestNetwork_Addresses(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"198.51.100.7": "198.51.100.7", "::ffff:198.51.100.7": "198.51.100.7", "": "", "unknown": "unknown",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "2001:db8:1:2::1": "2001:db8:1:2::/64",
		"2001:db8:1:3::1": "2001:db8:1:3::/64", "fe80::1%eth0": "fe80::/64",
		"64:ff9b::c633:6407": "198.51.100.7", "64:ff9b::1:c633:6407": "64:ff9b::/64",
		"2002:c633:6407::1": "198.51.100.7", "2002:c633:6407:ffff::2": "198.51.100.7",
	} {
		require.Equal(t, want, ratelimit.Network(address), address)
	}
}
