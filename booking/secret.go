package booking

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

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
