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

// nonceBytes is how much of an owner token is random.
const nonceBytes = 16

// ownerToken proves that a link is a customer's own. It names the secret that it was made
// with, and is an HMAC of the booking's id and of a nonce under that secret. The row
// keeps the secret's id and the nonce, so that the token can be told again; neither the
// row nor the secret is enough by itself to make it.
func ownerToken(secret ownerSecret, id string, nonce []byte) string {
	mac := secret.mac("owner token", id, base64.RawURLEncoding.EncodeToString(nonce))
	return secret.id + tokenSeparator + base64.RawURLEncoding.EncodeToString(mac)
}

// newOwnerToken makes the token of a booking with the first secret, and what the row
// keeps of it. All are empty where there are no secrets; nonce is then NULL.
func (s *Store) newOwnerToken(id string) (token, secret string, nonce any) {
	if len(s.secrets) == 0 {
		return "", "", nil
	}
	random := make([]byte, nonceBytes)
	_, _ = rand.Read(random) // It never fails: the process ends instead.
	return ownerToken(s.secrets[0], id, random), s.secrets[0].id, random
}

// ownerToken tells a booking's token again: "" where it has none, or where its secret is
// not listed.
func (s *Store) ownerToken(row bookingRow) string {
	secret, listed := s.secret(row.OwnerSecret)
	if !listed || row.OwnerNonce == nil {
		return ""
	}
	return ownerToken(secret, row.ID, row.OwnerNonce)
}

// Owned returns the booking that an owner token is good for. A token is good until it is
// renewed, and as long as the secret that it names is one of [Options.OwnerSecrets]. The
// error is [ErrNotFound] for any other token, for a booking that has none, and where
// there is no such booking, all alike. One round trip; none for a token that names no
// listed secret.
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
	// No token is empty.
	if subtle.ConstantTimeCompare([]byte(token), []byte(s.ownerToken(row))) != 1 {
		return Booking{}, ErrNotFound
	}
	return row.booking()
}

// WithOwnerToken returns a booking with its owner token in OwnerToken, as [Store.Hold]
// does. Use it where the customer is known by other means, to give them their link again.
// The token is "" where the booking has none, and where the secret it was made with is
// not one of [Options.OwnerSecrets]; [Store.RenewOwnerToken] then makes one. The error is
// [ErrNotFound]. One round trip.
func (s *Store) WithOwnerToken(ctx context.Context, id string) (Booking, error) {
	b, err := s.withOwnerToken(ctx, id)
	return b, wrap(ctx, "with owner token", err)
}

func (s *Store) withOwnerToken(ctx context.Context, id string) (Booking, error) {
	row, err := s.row(ctx, id)
	if err != nil {
		return Booking{}, err
	}
	return s.told(row)
}

// told is the booking of a row, with its owner token.
func (s *Store) told(row bookingRow) (Booking, error) {
	b, err := row.booking()
	b.OwnerToken = s.ownerToken(row)
	return b, err
}

// row reads a booking with what its token is checked against.
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

// errNoSecrets is what a store without [Options.OwnerSecrets] answers to renewals.
var errNoSecrets = errors.New("no owner secrets")

// RenewOwnerToken gives a booking another owner token, made with the first of
// [Options.OwnerSecrets], and returns it: every link with an older one is dead. A booking
// without one gets its first. The errors are [ErrNotFound], and one where the store has
// no secrets. Safe on several replicas at once: of several renewals the token of the last
// is good. One round trip.
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

// minSecret is how many bytes a secret has at least.
const minSecret = 32

// ownerSecret is one of [Options.OwnerSecrets]. Its id is in every token that was made
// with it and in the rows of those tokens; the id is an HMAC, so it does not reveal the
// secret.
type ownerSecret struct {
	id  string
	key []byte
}

// secretIDLength is that of an id in hexadecimal digits. Of 48 bits, two secrets of one
// list do not share an id by chance.
const secretIDLength = 12

func newOwnerSecret(secret string) ownerSecret {
	s := ownerSecret{key: []byte(secret)}
	s.id = hex.EncodeToString(s.mac("secret id"))[:secretIDLength]
	return s
}

// mac is the HMAC of parts under the secret. The first part is the purpose; no part has a
// NUL.
func (s ownerSecret) mac(parts ...string) []byte {
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte("booking-platform/" + strings.Join(parts, "\x00")))
	return mac.Sum(nil)
}

// secret returns the listed secret with an id.
func (s *Store) secret(id string) (ownerSecret, bool) {
	for _, secret := range s.secrets {
		if secret.id == id {
			return secret, true
		}
	}
	return ownerSecret{}, false
}

// secretOf returns the listed secret that a token names.
func (s *Store) secretOf(token string) (ownerSecret, bool) {
	id, _, named := strings.Cut(token, tokenSeparator)
	if !named {
		return ownerSecret{}, false
	}
	return s.secret(id)
}

// tokenSeparator ends the id of the secret in a token. No id has it.
const tokenSeparator = "-"

// SecretUse says what depends on one secret of [Options.OwnerSecrets], or on one that is
// no longer listed.
type SecretUse struct {
	// ID is the secret's, 12 hexadecimal digits; "" stands for bookings and feeds that
	// were made by a store without secrets.
	ID string
	// Number is its place in OwnerSecrets, from 1; 0 is a secret that is not listed,
	// whose tokens are refused.
	Number int
	// Bookings counts the coming bookings whose owner token was made with it: pending and
	// confirmed ones that have not ended. Feeds counts the private calendars.
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

// comingSQL is the condition of a booking b that a customer still has to do with.
const comingSQL = `b.active AND b.kind = 'booking' AND upper(b.during) > statement_timestamp()`

type secretUseRow struct {
	Secret   string `db:"secret"`
	Bookings int    `db:"bookings"`
	Feeds    int    `db:"feeds"`
}

// SecretUse returns what depends on each secret: first those of [Options.OwnerSecrets] in
// their order, used or not, then those that are gone and something still names, by id. A
// secret that nothing depends on can be taken out of the list without ending a link. One
// round trip, which reads every coming booking.
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

// secretsProblem checks [Options.OwnerSecrets].
func secretsProblem(secrets []string) error {
	for i, secret := range secrets {
		if len(secret) < minSecret {
			return fmt.Errorf("OwnerSecrets: number %d has less than %d bytes", i+1, minSecret)
		}
	}
	return nil
}

// ownerSecretPurpose keeps derived owner secrets apart from all else that is signed with
// the same secrets.
const ownerSecretPurpose = "booking-platform owner token 1"

// DeriveOwnerSecrets derives [Options.OwnerSecrets] from other secrets of a service, such
// as those of its sessions, in their order. A derived secret does not
// reveal the one it came from, and every replica derives the same. No secret, or an empty
// one, is an error.
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
