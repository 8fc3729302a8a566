package booking

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

const nonceBytes = 16

// ownerToken is the id of the secret, and an HMAC under it of the booking's id and a
// nonce. The row has the secret's id and the nonce, so that the token can be computed
// again.
func ownerToken(secret ownerSecret, id string, nonce []byte) string {
	mac := secret.mac("owner token", id, base64.RawURLEncoding.EncodeToString(nonce))
	return secret.id + tokenSeparator + base64.RawURLEncoding.EncodeToString(mac)
}

// newOwnerToken uses the first secret, and returns what the row stores; all empty without
// secrets.
func (s *Store) newOwnerToken(id string) (token, secret string, nonce any) {
	if len(s.secrets) == 0 {
		return "", "", nil
	}
	random := make([]byte, nonceBytes)
	_, _ = rand.Read(random) // It never fails: the process ends instead.
	return ownerToken(s.secrets[0], id, random), s.secrets[0].id, random
}

// ownerToken is "" if the booking has none or its secret is not listed.
func (s *Store) ownerToken(row bookingRow) string {
	secret, listed := s.secret(row.OwnerSecret)
	if !listed || row.OwnerNonce == nil {
		return ""
	}
	return ownerToken(secret, row.ID, row.OwnerNonce)
}

// Owned returns the booking if the token is its owner token, valid until renewed and
// while its secret is one of [Options.OwnerSecrets]. Otherwise the error is
// [ErrNotFound], as for an unknown booking. One round trip; none for an unlisted secret.
func (s *Store) Owned(ctx context.Context, id, token string) (Booking, error) {
	b, err := s.owned(ctx, id, token)
	return b, wrap(ctx, "owned", err)
}

func (s *Store) owned(ctx context.Context, id, token string) (Booking, error) {
	if _, listed := s.secretOf(token); !listed {
		return Booking{}, ErrNotFound
	}
	row, err := s.row(ctx, id)
	if err != nil {
		return Booking{}, err
	}
	// The given token is not empty here.
	if subtle.ConstantTimeCompare([]byte(token), []byte(s.ownerToken(row))) != 1 {
		return Booking{}, ErrNotFound
	}
	return row.booking()
}

// WithOwnerToken returns a booking with its OwnerToken, for customers who are identified
// otherwise. The token is "" if the booking has none or its secret is not listed;
// [Store.RenewOwnerToken] makes one. The error is [ErrNotFound]. One round trip.
func (s *Store) WithOwnerToken(ctx context.Context, id string) (Booking, error) {
	b, err := s.withOwnerToken(ctx, id)
	return b, wrap(ctx, "with owner token", err)
}

func (s *Store) withOwnerToken(ctx context.Context, id string) (Booking, error) {
	row, err := s.row(ctx, id)
	if err != nil {
		return Booking{}, err
	}
	return s.bookingWithToken(row)
}

func (s *Store) bookingWithToken(row bookingRow) (Booking, error) {
	b, err := row.booking()
	b.OwnerToken = s.ownerToken(row)
	return b, err
}

func (s *Store) row(ctx context.Context, id string) (row bookingRow, err error) {
	if !isID(id) {
		return row, ErrNotFound
	}
	var found bool
	err = s.read(ctx, func(q Querier) (err error) {
		row, found, err = selectOne[bookingRow](ctx, q, bookingByIDSQL, strings.ToLower(id))
		return err
	})
	if err == nil && !found {
		err = ErrNotFound
	}
	return row, err
}

const renewOwnerTokenSQL = `
UPDATE booking_platform.bookings SET owner_secret = $2::text, owner_nonce = $3::bytea WHERE id = $1::uuid`

var errNoSecrets = errors.New("no owner secrets")

// RenewOwnerToken gives a booking a new owner token, made with the first of
// [Options.OwnerSecrets], and returns it; older links stop working. The errors are
// [ErrNotFound], and one if the store has no secrets. Safe on several replicas: the last
// renewal's token is valid. One round trip.
func (s *Store) RenewOwnerToken(ctx context.Context, id string) (string, error) {
	token, err := s.renewOwnerToken(ctx, id)
	return token, wrap(ctx, "renew owner token", err)
}

func (s *Store) renewOwnerToken(ctx context.Context, id string) (string, error) {
	if len(s.secrets) == 0 {
		return "", errNoSecrets
	}
	if !isID(id) {
		return "", ErrNotFound
	}
	id = strings.ToLower(id)
	token, secret, nonce := s.newOwnerToken(id)
	var changed int64
	err := s.run(ctx, func(q Querier) error {
		result, err := q.ExecContext(ctx, renewOwnerTokenSQL, id, secret, nonce)
		if err == nil {
			changed, err = result.RowsAffected()
		}
		return err
	})
	if err == nil && changed == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return "", err
	}
	return token, nil
}

// minSecret is in bytes.
const minSecret = 32

// ownerSecret is one of [Options.OwnerSecrets]. Its id, an HMAC that does not reveal it,
// is in every token made with it.
type ownerSecret struct {
	id  string
	key []byte
}

// secretIDLength is in hexadecimal digits: with 48 bits, no two secrets share an id by
// chance.
const secretIDLength = 12

func newOwnerSecret(secret string) ownerSecret {
	s := ownerSecret{key: []byte(secret)}
	s.id = hex.EncodeToString(s.mac("secret id"))[:secretIDLength]
	return s
}

// mac takes parts without NUL; the first is the purpose.
func (s ownerSecret) mac(parts ...string) []byte {
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte("booking-platform/" + strings.Join(parts, "\x00")))
	return mac.Sum(nil)
}

func (s *Store) secret(id string) (ownerSecret, bool) {
	for _, secret := range s.secrets {
		if secret.id == id {
			return secret, true
		}
	}
	return ownerSecret{}, false
}

func (s *Store) secretOf(token string) (ownerSecret, bool) {
	id, _, named := strings.Cut(token, tokenSeparator)
	if !named {
		return ownerSecret{}, false
	}
	return s.secret(id)
}

const tokenSeparator = "-"

// SecretUse is what depends on a secret.
type SecretUse struct {
	// ID is 12 hexadecimal digits; "" for what was made without secrets.
	ID string
	// Number is the place in [Options.OwnerSecrets], from 1; 0 if not listed.
	Number int
	// Bookings counts coming bookings whose owner token was made with it, Feeds private
	// calendars.
	Bookings, Feeds int
}

const secretUseSQL = `
SELECT u.secret, sum(u.bookings)::bigint AS bookings, sum(u.feeds)::bigint AS feeds
FROM (
    SELECT b.owner_secret AS secret, count(*) AS bookings, 0 AS feeds
    FROM booking_platform.bookings b WHERE ` + comingSQL + ` GROUP BY b.owner_secret
    UNION ALL
    SELECT f.secret, 0, count(*) FROM booking_platform.calendar_feeds f GROUP BY f.secret
) u
GROUP BY u.secret ORDER BY u.secret`

// comingSQL selects the bookings b that matter to a customer.
const comingSQL = `b.active AND b.kind = 'booking' AND upper(b.during) > statement_timestamp()`

type secretUseRow struct {
	Secret   string `db:"secret"`
	Bookings int    `db:"bookings"`
	Feeds    int    `db:"feeds"`
}

// SecretUse returns what depends on each of [Options.OwnerSecrets], in their order, then
// on those no longer listed, by id. A secret on which nothing depends can be removed
// without breaking a link. One round trip, which reads every coming booking.
func (s *Store) SecretUse(ctx context.Context) ([]SecretUse, error) {
	var rows []secretUseRow
	err := s.read(ctx, func(q Querier) (err error) {
		rows, err = selectAll[secretUseRow](ctx, q, secretUseSQL)
		return err
	})
	if err != nil {
		return nil, wrap(ctx, "secret use", err)
	}
	var all []SecretUse
	listed := map[string]int{}
	for i, secret := range s.secrets {
		if _, twice := listed[secret.id]; !twice {
			listed[secret.id] = len(all)
			all = append(all, SecretUse{ID: secret.id, Number: i + 1})
		}
	}
	for _, row := range rows {
		if i, found := listed[row.Secret]; found {
			all[i].Bookings, all[i].Feeds = row.Bookings, row.Feeds
			continue
		}
		all = append(all, SecretUse{ID: row.Secret, Bookings: row.Bookings, Feeds: row.Feeds})
	}
	return all, nil
}

func secretsProblem(secrets []string) error {
	for i, secret := range secrets {
		if len(secret) < minSecret {
			return fmt.Errorf("OwnerSecrets: number %d has less than %d bytes", i+1, minSecret)
		}
	}
	return nil
}

// ownerSecretPurpose separates derived secrets from other uses of the same ones.
const ownerSecretPurpose = "booking-platform owner token 1"

// DeriveOwnerSecrets derives [Options.OwnerSecrets] from other secrets, such as those of
// sessions, in their order. A derived secret does not reveal its origin, and every
// replica derives the same. No secret, or an empty one, is an error.
func DeriveOwnerSecrets(secrets []string) ([]string, error) {
	if len(secrets) == 0 {
		return nil, errors.New("booking: a secret is required")
	}
	var derived []string
	for _, s := range secrets {
		if s == "" {
			return nil, errors.New("booking: an empty secret")
		}
		mac := hmac.New(sha256.New, []byte(s))
		mac.Write([]byte(ownerSecretPurpose))
		derived = append(derived, string(mac.Sum(nil)))
	}
	return derived, nil
}
