package booking

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// minSecret is how many bytes a secret has at least.
const minSecret = 32

// ownerToken is what proves that a link is a customer's own: made from a secret, the booking's id and how many tokens
// were taken back before it, so that it need not be stored to be told again. What is stored is its SHA-256.
func ownerToken(secret, id string, number int) (token string, hash []byte) {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("booking owner\x00" + id + "\x00" + strconv.Itoa(number)))
	token = base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	return token, hashToken(token)
}

func hashToken(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// newOwnerToken makes the token of a new booking; the hash is NULL where there are no secrets.
func (s *Store) newOwnerToken(id string) (token string, hash any) {
	if len(s.secrets) == 0 {
		return "", nil
	}
	return ownerToken(s.secrets[0], id, 0)
}

// ownerToken tells a booking's token again: that of the secret it was made with. "" where there is no such secret any
// more, or no token.
func (s *Store) ownerToken(row bookingRow) string {
	if row.OwnerTokenHash == nil {
		return ""
	}
	for _, secret := range s.secrets {
		token, hash := ownerToken(secret, row.ID, row.OwnerTokenNo)
		if subtle.ConstantTimeCompare(hash, row.OwnerTokenHash) == 1 {
			return token
		}
	}
	return ""
}

// Owned returns a booking to who has its owner token. The error is [ErrNotFound] for a wrong token, for a booking that
// has none, and where there is no such booking, all alike. A token is good until it is renewed, whatever becomes of
// the secrets. One round trip.
func (s *Store) Owned(ctx context.Context, id, token string) (Booking, error) {
	b, err := s.owned(ctx, id, token)
	return b, wrap(ctx, "owned", err)
}

func (s *Store) owned(ctx context.Context, id, token string) (Booking, error) {
	row, err := s.row(ctx, id)
	if err != nil {
		return Booking{}, err
	}
	if subtle.ConstantTimeCompare(hashToken(token), row.OwnerTokenHash) != 1 {
		return Booking{}, ErrNotFound
	}
	return row.booking()
}

// WithOwnerToken returns a booking with its owner token in OwnerToken, as [Store.Hold] does: for who knows by other means that it
// is the customer who asks, and gives them their link again. The token is "" where the booking has none, and where the
// secret it was made with is no longer among [Options.OwnerSecrets]. The error is [ErrNotFound]. One round trip.
func (s *Store) WithOwnerToken(ctx context.Context, id string) (Booking, error) {
	b, err := s.withOwnerToken(ctx, id)
	return b, wrap(ctx, "with owner token", err)
}

func (s *Store) withOwnerToken(ctx context.Context, id string) (Booking, error) {
	row, err := s.row(ctx, id)
	if err != nil {
		return Booking{}, err
	}
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

// The number is compared, so that of two renewals at once each has its own.
const renewOwnerTokenSQL = `
UPDATE booking_platform.bookings SET owner_token_hash = $3::bytea, owner_token_number = $2::integer
WHERE id = $1::uuid AND owner_token_number = $2::integer - 1`

// RenewOwnerToken gives a booking another owner token and returns it: every link with an older one is dead. A booking
// without one gets its first. The errors are [ErrNotFound], and one where the store has no [Options.OwnerSecrets].
// Safe on several replicas at once: of several renewals the token of the last is good. Two round trips.
func (s *Store) RenewOwnerToken(ctx context.Context, id string) (string, error) {
	token, err := s.renewOwnerToken(ctx, id)
	return token, wrap(ctx, "renew owner token", err)
}

func (s *Store) renewOwnerToken(ctx context.Context, id string) (string, error) {
	if len(s.secrets) == 0 {
		return "", errors.New("no owner secrets")
	}
	if !isID(id) {
		return "", ErrNotFound
	}
	id = strings.ToLower(id)
	for range maxAttempts {
		var token string
		var changed int64
		err := s.run(ctx, func(q Querier) error {
			row, found, err := selectOne[bookingRow](ctx, q, bookingByIDSQL, id)
			if err == nil && !found {
				err = ErrNotFound
			}
			if err != nil {
				return err
			}
			number := row.OwnerTokenNo + 1
			var hash []byte
			token, hash = ownerToken(s.secrets[0], id, number)
			result, err := q.ExecContext(ctx, renewOwnerTokenSQL, id, number, hash)
			if err == nil {
				changed, err = result.RowsAffected()
			}
			return err
		})
		if err != nil || changed > 0 {
			return token, err
		}
	}
	return "", fmt.Errorf("the contention does not end: %w", errRunAgain)
}
