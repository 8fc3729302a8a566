package booking_test

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// createCourts adds numbered courts, every fourth of them inactive.
func createCourts(t testing.TB, store *booking.Store, n int) (ids []string) {
	t.Helper()
	for i := range n {
		r := create(t, store, func(r *booking.Resource) {
			r.Slug, r.Name, r.Inactive = fmt.Sprintf("court-%02d", i), fmt.Sprintf("Court %02d", i), i%4 == 3
		})
		ids = append(ids, r.ID)
	}
	return ids
}

func slugs(all []booking.Resource) (out []string) {
	for _, r := range all {
		out = append(out, r.Slug)
	}
	return out
}

func TestListResources_Pages(t *testing.T) {
	t.Parallel()
	store := newStore(t, testdb.New(t))
	createCourts(t, store, 12)
	var seen []string
	opts := booking.ResourceListOptions{Limit: 2}
	for {
		page, err := store.ListResources(t.Context(), opts)
		require.NoError(t, err)
		require.Equal(t, 9, page.Total)
		seen = append(seen, slugs(page.Resources)...)
		if opts.After = page.Next; opts.After == "" {
			break
		}
		require.Len(t, page.Resources, 2)
	}
	all, err := store.Resources(t.Context())
	require.NoError(t, err)
	require.Equal(t, slugs(all), seen)
	require.Len(t, seen, 9)
	page, err := store.ListResources(t.Context(), booking.ResourceListOptions{Limit: 12, Inactive: true})
	require.NoError(t, err)
	require.Len(t, page.Resources, 12)
	require.Empty(t, page.Next, "the page is full and the last")
}

func TestListResources_Search(t *testing.T) {
	t.Parallel()
	store := newStore(t, testdb.New(t))
	createCourts(t, store, 3)
	create(t, store, func(r *booking.Resource) { r.Slug, r.Name = "ecole-nord", "École Nord" })
	for search, found := range map[string][]string{
		"COURT 01":   {"court-01"},
		"01 court":   {"court-01"},
		"école":      {"ecole-nord"},
		"ecole":      {"ecole-nord"},
		"  ":         {"court-00", "court-01", "court-02", "ecole-nord"},
		"court nord": nil,
		"%":          nil,
	} {
		page, err := store.ListResources(t.Context(), booking.ResourceListOptions{Search: search})
		require.NoError(t, err)
		require.ElementsMatch(t, found, slugs(page.Resources), search)
		require.Equal(t, len(found), page.Total, search)
	}
}

func TestListResources_Refusals(t *testing.T) {
	t.Parallel()
	store := newStore(t, testdb.New(t))
	_, err := store.ListResources(t.Context(), booking.ResourceListOptions{
		Limit: -1, After: "court", Search: string(make([]byte, 101)),
	})
	requireFields(t, err, "after", "limit", "search")
	_, err = store.ListResources(t.Context(), booking.ResourceListOptions{
		After: "01890000-0000-7000-8000-000000000000"})
	requireFields(t, err, "after")
}

// A page continues after a resource that was made inactive meanwhile.
func TestListResources_LastOfPageDeactivated(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	createCourts(t, store, 3)
	first, err := store.ListResources(t.Context(), booking.ResourceListOptions{Limit: 1})
	require.NoError(t, err)
	exec(t, db, `UPDATE booking_platform.resources SET active = false WHERE slug = 'court-00'`)
	second, err := store.ListResources(t.Context(), booking.ResourceListOptions{Limit: 1, After: first.Next})
	require.NoError(t, err)
	require.Equal(t, []string{"court-01"}, slugs(second.Resources))
}

// What a caller does to a resource is not seen by others.
func TestListResources_ReturnsCopies(t *testing.T) {
	t.Parallel()
	store := newStore(t, testdb.New(t))
	create(t, store, func(r *booking.Resource) {
		r.Hours = []booking.Hours{{Weekday: time.Monday, Opens: 540, Closes: 600}}
	})
	first, err := store.Resources(t.Context())
	require.NoError(t, err)
	first[0].Hours[0].Opens = 0
	second, err := store.Resources(t.Context())
	require.NoError(t, err)
	require.Equal(t, 540, second[0].Hours[0].Opens)
}

// Every kind of change, committed by another replica or by hand, is in the next list, and
// renews the version.
func TestListResources_SeesEveryCommit(t *testing.T) {
	t.Parallel()
	eachLibrary(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		id := createCourts(t, store, 3)[0]
		version, err := store.ResourcesVersion(t.Context())
		require.NoError(t, err)
		for _, change := range []string{
			`UPDATE booking_platform.resources SET name = 'Renamed' WHERE id = $1::uuid`,
			`UPDATE booking_platform.resources SET active = false WHERE id = $1::uuid`,
			`INSERT INTO booking_platform.opening_hours (resource_id, weekday, opens_minute, closes_minute)
				VALUES ($1::uuid, 1, 540, 600)`,
			`DELETE FROM booking_platform.opening_hours WHERE resource_id = $1::uuid`,
			`INSERT INTO booking_platform.opening_exceptions (resource_id, on_date, opens_minute, closes_minute)
				VALUES ($1::uuid, '2030-01-01', 0, 0)`,
			`INSERT INTO booking_platform.offers (resource_id, slug, name, position, slot_seconds, step_seconds,
				buffer_before_seconds, buffer_after_seconds, price_minor)
				VALUES ($1::uuid, 'long', 'Long', 0, 7200, 7200, 0, 0, 100)`,
			`DELETE FROM booking_platform.resources WHERE id = $1::uuid`,
		} {
			exec(t, db, change, id)
			page, err := store.ListResources(t.Context(), booking.ResourceListOptions{Inactive: true})
			require.NoError(t, err)
			require.NotEqual(t, version, page.Version, change)
			version = page.Version
			// The version is that of a store that reads the list for the first time.
			fresh, err := newStore(t, db).ListResources(t.Context(), booking.ResourceListOptions{Inactive: true})
			require.NoError(t, err)
			require.Equal(t, fresh, page, change)
		}
	})
}

// A change that began before another one and committed after it is not missed.
func TestListResources_SeesLateCommit(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	createCourts(t, store, 3)
	const rename = `UPDATE booking_platform.resources SET name = $2::text WHERE slug = $1::text`
	early, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer func() { _ = early.Rollback() }()
	exec(t, early, rename, "court-00", "Early")
	exec(t, db, rename, "court-01", "Late")
	before, err := store.ListResources(t.Context(), booking.ResourceListOptions{})
	require.NoError(t, err)
	require.NoError(t, early.Commit())
	after, err := store.ListResources(t.Context(), booking.ResourceListOptions{Search: "early"})
	require.NoError(t, err)
	require.Equal(t, 1, after.Total)
	require.NotEqual(t, before.Version, after.Version)
}

// Concurrent calls share readings, and each still sees what was committed before it.
func TestListResources_ConcurrentCallsSeeTheirCommits(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	ids := createCourts(t, store, 8)
	var wg sync.WaitGroup
	for n, id := range ids {
		wg.Go(func() {
			for i := range 20 {
				name := fmt.Sprintf("name-%02d-of-%02d", i, n)
				if err := execRetried(t.Context(), db,
					`UPDATE booking_platform.resources SET name = $2::text WHERE id = $1::uuid`, id, name); err != nil {
					t.Error(err)
					return
				}
				page, err := store.ListResources(t.Context(),
					booking.ResourceListOptions{Search: name, Inactive: true})
				if err != nil || page.Total != 1 || page.Resources[0].Name != name {
					t.Errorf("%q: %d found, %v", name, page.Total, err)
				}
			}
		})
	}
	wg.Wait()
}

// A request that goes away does not fail those that share its reading.
func TestListResources_LeaderCancelled(t *testing.T) {
	t.Parallel()
	store := newStore(t, testdb.New(t))
	createCourts(t, store, 2)
	var wg sync.WaitGroup
	for n := range 40 {
		wg.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			if n%2 == 0 {
				go cancel()
			}
			defer cancel()
			_, err := store.Resources(ctx)
			if n%2 == 1 && err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	all, err := store.Resources(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 2)
}
