package booking

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
)

// Feed is a private calendar.
type Feed struct {
	// Resource may be inactive.
	Resource Resource
	// Bookings begin 30 days ago or later, by start, with blocks and cancelled ones,
	// which calendars then remove, but without expired holds. At most 5000: the next
	// ones, and then the latest past ones.
	Bookings []Booking
}

const maxFeed = 5000

const (
	createFeedSQL = `
INSERT INTO booking_platform.calendar_feeds (token_hash, secret, resource_id)
SELECT $1::bytea, $2::text, r.id FROM booking_platform.resources r WHERE `
	deleteFeedsSQL = `
WITH resource AS (
    SELECT r.id FROM booking_platform.resources r WHERE `
	deletedFeedsSQL = `
), gone AS (
    DELETE FROM booking_platform.calendar_feeds f USING resource WHERE f.resource_id = resource.id
        RETURNING f.token_hash
)
SELECT (SELECT count(*) FROM gone) AS feeds FROM resource`
	feedResourceSQL = `SELECT` + resourceColumns + `
WHERE r.id = (SELECT f.resource_id FROM booking_platform.calendar_feeds f WHERE f.token_hash = $1::bytea)`

	feedOfSQL = `
    FROM booking_platform.bookings b
    WHERE b.resource_id = $1::uuid AND b.status <> 'expired'
      AND NOT (b.status = 'pending' AND b.hold_expires_at <= statement_timestamp()) AND `
	// Both read an index away from now, so that LIMIT drops the most distant bookings.
	feedBookingsSQL = `
(
    SELECT` + bookingColumns + feedOfSQL + `lower(b.during) >= statement_timestamp()
    ORDER BY lower(b.during), b.id LIMIT $2::integer
) UNION ALL (
    SELECT` + bookingColumns + feedOfSQL + `lower(b.during) < statement_timestamp()
      AND lower(b.during) >= statement_timestamp() - interval '30 days'
    ORDER BY lower(b.during) DESC, b.id DESC LIMIT $2::integer
)`
)

// CreateFeed creates a private calendar of a resource, which may have several, and
// returns the token that reads it: safe in a URL, 256 random bits. Only its HMAC under
// the first of [Options.OwnerSecrets] is stored, or its SHA-256 without secrets. It is
// valid until [Store.DeleteFeeds], while the secret is listed. The error is
// [ErrNotFound]. Safe on several replicas; one round trip.
func (s *Store) CreateFeed(ctx context.Context, idOrSlug string) (token string, err error) {
	token, err = s.createFeed(ctx, idOrSlug)
	return token, wrap(ctx, "create feed", err)
}

func (s *Store) createFeed(ctx context.Context, idOrSlug string) (string, error) {
	is, key, err := resourceCondition(idOrSlug, "$3")
	if err != nil {
		return "", err
	}
	random := make([]byte, 32)
	// It never fails: the program crashes instead.
	_, _ = rand.Read(random)
	token, secret := base64.RawURLEncoding.EncodeToString(random), ""
	if len(s.secrets) > 0 {
		secret = s.secrets[0].id
		token = secret + tokenSeparator + token
	}
	hash, _ := s.feedHash(token)
	err = s.run(ctx, func(q Querier) error {
		result, err := q.ExecContext(ctx, createFeedSQL+is, hash, secret, key)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n > 0 {
			return err
		}
		return ErrNotFound
	})
	if err != nil {
		return "", err
	}
	return token, nil
}

// resourceCondition selects a resource, with a parameter of that name.
func resourceCondition(idOrSlug, parameter string) (is, key string, err error) {
	switch {
	case isID(idOrSlug):
		return "r.id = " + parameter + "::uuid", strings.ToLower(idOrSlug), nil
	case isSlug(idOrSlug):
		return "r.slug = " + parameter + "::text", idOrSlug, nil
	}
	return "", "", ErrNotFound
}

// feedHash is the stored form of a token; false if its secret is not listed.
func (s *Store) feedHash(token string) ([]byte, bool) {
	if len(s.secrets) == 0 {
		sum := sha256.Sum256([]byte(token))
		return sum[:], true
	}
	secret, listed := s.secretOf(token)
	if !listed {
		return nil, false
	}
	return secret.mac("calendar feed", token), true
}

// Feed returns the private calendar with that token, or [ErrNotFound]. Two round trips,
// through indexes.
func (s *Store) Feed(ctx context.Context, token string) (Feed, error) {
	f, err := s.feed(ctx, token, maxFeed)
	return f, wrap(ctx, "feed", err)
}

func (s *Store) feed(ctx context.Context, token string, limit int) (f Feed, err error) {
	hash, ok := s.feedHash(token)
	if !ok {
		return Feed{}, ErrNotFound
	}
	err = s.read(ctx, func(q Querier) error {
		resource, found, err := selectOne[resourceRow](ctx, q, feedResourceSQL, hash)
		if err == nil && !found {
			err = ErrNotFound
		}
		if err != nil {
			return err
		}
		if f.Resource, err = resource.resource(); err != nil {
			return err
		}
		rows, err := selectAll[bookingRow](ctx, q, feedBookingsSQL, resource.ID, limit)
		if err != nil {
			return err
		}
		slices.SortFunc(rows, func(a, b bookingRow) int {
			return cmp.Or(a.StartsAt.Compare(b.StartsAt),
				cmp.Compare(a.ID, b.ID))
		})
		rows = rows[max(0, len(rows)-limit):]
		f.Bookings = make([]Booking, len(rows))
		for i, row := range rows {
			if f.Bookings[i], err = row.booking(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return Feed{}, err
	}
	return f, nil
}

// DeleteFeeds deletes all tokens of a resource's private calendars and returns how many.
// The error is [ErrNotFound]. Safe on several replicas; one round trip.
func (s *Store) DeleteFeeds(ctx context.Context, idOrSlug string) (int, error) {
	n, err := s.deleteFeeds(ctx, idOrSlug)
	return n, wrap(ctx, "delete feeds", err)
}

func (s *Store) deleteFeeds(ctx context.Context, idOrSlug string) (int, error) {
	is, key, err := resourceCondition(idOrSlug, "$1")
	if err != nil {
		return 0, err
	}
	type row struct {
		Feeds int `db:"feeds"`
	}
	var gone row
	err = s.run(ctx, func(q Querier) error {
		var found bool
		gone, found, err = selectOne[row](ctx, q, deleteFeedsSQL+is+deletedFeedsSQL, key)
		if err == nil && !found {
			err = ErrNotFound
		}
		return err
	})
	return gone.Feeds, err
}
