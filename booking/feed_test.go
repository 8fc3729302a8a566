package booking_test

import (
	"database/sql"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

func TestFeed_OrderAndContents(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		r := create(t, store, func(r *booking.Resource) { r.Capacity = 2 })
		create(t, store, func(r *booking.Resource) { r.Slug = "other" })
		token, err := store.CreateFeed(t.Context(), "court")
		require.NoError(t, err)
		feed, err := store.Feed(t.Context(), token)
		require.NoError(t, err)
		require.Equal(t, booking.Feed{Resource: r, Bookings: []booking.Booking{}}, feed)

		// Ordered by start, without bookings of other resources.
		pending, confirmed, cancelled := hold(t, store, request(slot(3))), hold(t, store, request(slot(1))),
			hold(t, store, request(slot(2)))
		elsewhere := request(slot(1))
		elsewhere.Resource = "other"
		hold(t, store, elsewhere)
		_, err = store.Confirm(t.Context(), confirmed.ID)
		require.NoError(t, err)
		_, err = store.Cancel(t.Context(), booking.CancelRequest{ID: cancelled.ID, Reason: "rain"})
		require.NoError(t, err)
		block, err := store.Block(t.Context(),
			booking.BlockRequest{Resource: "court", From: slot(2), To: slot(3), Units: 1})
		require.NoError(t, err)
		past, old := hold(t, store, request(slot(4))), hold(t, store, request(slot(5)))
		beginsAgo(t, db, past.ID, 29*24*time.Hour)
		beginsAgo(t, db, old.ID, 31*24*time.Hour)
		lapsed, expired := hold(t, store, request(slot(6))), hold(t, store, request(slot(7)))
		expireHolds(t, db, expired.ID)
		_, err = store.ReleaseExpired(t.Context())
		require.NoError(t, err)
		expireHolds(t, db, lapsed.ID)

		feed, err = store.Feed(t.Context(), token)
		require.NoError(t, err)
		require.Equal(t, r, feed.Resource)
		var got []string
		for _, b := range feed.Bookings {
			got = append(got, b.ID)
			stored, err := store.Get(t.Context(), b.ID)
			require.NoError(t, err)
			require.Equal(t, stored, b)
		}
		// Of two with the same start the older is first.
		require.Equal(t, []string{past.ID, confirmed.ID, cancelled.ID, block.ID, pending.ID}, got)
		require.Equal(t, booking.StatusCancelled, feed.Bookings[2].Status)
	})
}

func beginsAgo(t testing.TB, db booking.Querier, id string, ago time.Duration) {
	t.Helper()
	at := time.Now().Add(-ago)
	exec(t, db, `
		UPDATE booking_platform.bookings SET status = 'confirmed', during = tstzrange($2::timestamptz, $3::timestamptz),
			blocked = tstzrange($2::timestamptz, $3::timestamptz)
		WHERE id = $1::uuid`, id, at, at.Add(time.Hour))
}

func TestFeed_Tokens(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		r := create(t, store)
		create(t, store, func(r *booking.Resource) { r.Slug = "other" })
		seen := map[string]bool{}
		var tokens []string
		for _, name := range []string{"court", r.ID, strings.ToUpper(r.ID)} {
			token, err := store.CreateFeed(t.Context(), name)
			require.NoError(t, err)
			random, err := base64.RawURLEncoding.Strict().DecodeString(token)
			require.NoError(t, err)
			require.Len(t, random, 32)
			require.False(t, seen[token])
			seen[token], tokens = true, append(tokens, token)
		}
		others, err := store.CreateFeed(t.Context(), "other")
		require.NoError(t, err)
		for _, token := range tokens {
			feed, err := store.Feed(t.Context(), token)
			require.NoError(t, err)
			require.Equal(t, r.ID, feed.Resource.ID)
			require.Zero(t, count(t, db,
				`SELECT count(*) FROM booking_platform.calendar_feeds f WHERE f::text LIKE '%' || $1::text || '%'`,
				token))
			require.Equal(t, 1, count(t, db,
				`SELECT count(*) FROM booking_platform.calendar_feeds f WHERE f.token_hash = sha256($1::text::bytea)`,
				token))
		}
		for _, wrong := range []string{"", "x", tokens[0] + "A", tokens[0][:42], strings.ToLower(tokens[0]), "\x00",
			"\xff", strings.Repeat("a", 1<<20)} {
			_, err := store.Feed(t.Context(), wrong)
			require.ErrorIs(t, err, booking.ErrNotFound)
			require.EqualError(t, err, "booking: feed: not found")
		}

		// An inactive resource keeps its feeds.
		exec(t, db, `UPDATE booking_platform.resources SET active = false WHERE id = $1::uuid`, r.ID)
		feed, err := store.Feed(t.Context(), tokens[0])
		require.NoError(t, err)
		require.True(t, feed.Resource.Inactive)

		n, err := store.DeleteFeeds(t.Context(), "court")
		require.NoError(t, err)
		require.Equal(t, 3, n)
		for _, token := range tokens {
			_, err := store.Feed(t.Context(), token)
			require.ErrorIs(t, err, booking.ErrNotFound)
		}
		_, err = store.Feed(t.Context(), others)
		require.NoError(t, err, "the other resource keeps its own")
		n, err = store.DeleteFeeds(t.Context(), strings.ToUpper(r.ID))
		require.NoError(t, err)
		require.Zero(t, n)
		for _, unknown := range []string{"", "unknown", "No Slug", "019a2b3c-0000-7000-8000-000000000000"} {
			_, err = store.CreateFeed(t.Context(), unknown)
			require.ErrorIs(t, err, booking.ErrNotFound)
			_, err = store.DeleteFeeds(t.Context(), unknown)
			require.ErrorIs(t, err, booking.ErrNotFound)
		}
	})
}

// The farthest past bookings are dropped first, then the farthest future ones.
func TestFeed_DropsFarthestBookings(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	r := create(t, store)
	token, err := store.CreateFeed(t.Context(), "court")
	require.NoError(t, err)
	// Adds bookings in both directions, an hour apart.
	add := func(past, ahead int) {
		exec(t, db, `
			INSERT INTO booking_platform.bookings (id, resource_id, units, party, during, blocked, status,
				hold_expires_at, amount_minor, currency, reference)
			SELECT gen_random_uuid(), $1::uuid, '{[1,2)}', 1, s, s, 'confirmed', lower(s), 0, 'eur', n::text
			FROM generate_series(-$2::integer, $3::integer - 1) n,
				LATERAL (SELECT tstzrange(now() + (n + 0.5) * interval '1 hour',
					now() + (n + 1.5) * interval '1 hour')) AS t(s)`, r.ID, past, ahead)
	}
	add(10, 10)
	for _, c := range []struct{ limit, first, last int }{{30, -10, 9}, {20, -10, 9}, {15, -5, 9}, {10, 0, 9},
		{4, 0, 3}} {
		feed, err := store.FeedOf(t.Context(), token, c.limit)
		require.NoError(t, err)
		var want, got []string
		for n := c.first; n <= c.last; n++ {
			want = append(want, fmt.Sprint(n))
		}
		for _, b := range feed.Bookings {
			got = append(got, b.Reference)
		}
		require.Equal(t, want, got, c.limit)
	}
	exec(t, db, `DELETE FROM booking_platform.bookings`)
	add(700, 4600)
	feed, err := store.Feed(t.Context(), token)
	require.NoError(t, err)
	require.Len(t, feed.Bookings, 5000)
	require.Equal(t, "-400", feed.Bookings[0].Reference)
	require.Equal(t, "4599", feed.Bookings[4999].Reference)
}

// M3.
func TestFeed_SecretRemoved(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		before, during, after := withOwnerSecrets(t, db, secrets[0]), withOwnerSecrets(t, db, secrets[1], secrets[0]),
			withOwnerSecrets(t, db, secrets[1])
		create(t, before)
		token, err := before.CreateFeed(t.Context(), "court")
		require.NoError(t, err)
		require.Regexp(t, `^[0-9a-f]{12}-[A-Za-z0-9_-]{43}$`, token)
		for _, store := range []*booking.Store{before, during} {
			_, err = store.Feed(t.Context(), token)
			require.NoError(t, err)
			for _, wrong := range []string{token[:55], token + "A", token[13:], token[:13], "", "-"} {
				_, err = store.Feed(t.Context(), wrong)
				require.ErrorIs(t, err, booking.ErrNotFound)
			}
		}
		for _, store := range []*booking.Store{after, newStore(t, db)} {
			_, err = store.Feed(t.Context(), token)
			require.ErrorIs(t, err, booking.ErrNotFound)
		}
		fresh, err := during.CreateFeed(t.Context(), "court")
		require.NoError(t, err)
		_, err = after.Feed(t.Context(), fresh)
		require.NoError(t, err)
		_, err = before.Feed(t.Context(), fresh)
		require.ErrorIs(t, err, booking.ErrNotFound)
		require.Zero(t,
			count(t, db,
				`SELECT count(*) FROM booking_platform.calendar_feeds f WHERE f::text LIKE '%' || $1::text || '%'`,
				token[13:]))
		gone, err := after.DeleteFeeds(t.Context(), "court")
		require.NoError(t, err)
		require.Equal(t, 2, gone, "also feeds of a removed secret")
	})
}
