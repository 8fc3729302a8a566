package booking

import (
	"cmp"
	"context"
	"slices"
	"strings"
)

// RenewRequest selects coming bookings for [Store.RenewOwnerTokens]. The zero value
// selects those without a working link: without a token, or with one of an unlisted
// secret.
type RenewRequest struct {
	// Secret is a secret's id, see [SecretUse], and selects its tokens.
	Secret string
	// All selects every token.
	All bool
	// After is the previous batch's Next; "" for the first.
	After string
	// Limit is the size of a batch, at most 1000; 0 means 500.
	Limit int
}

// RenewedTokens is one batch of renewals.
type RenewedTokens struct {
	// Bookings have their new OwnerToken and are sorted by id. Those that another renewal
	// changed meanwhile are left out.
	Bookings []Booking
	// Next is the next batch's After; "" if there is none.
	Next string
}

const (
	renewBatch    = 500
	maxRenewBatch = 1000
)

// Only a token that is still the one read here is renewed: of two concurrent runs one
// renews it.
const renewableSQL = `
SELECT b.id::text AS id, COALESCE(encode(b.owner_nonce, 'hex'), 'none') AS nonce
FROM booking_platform.bookings b
WHERE ` + comingSQL + ` AND b.id > $1::uuid
  AND ($2::boolean OR b.owner_secret = NULLIF($3::text, '') OR $3::text = ''
      AND b.owner_secret <> ALL (string_to_array($4::text, ',')))
ORDER BY b.id LIMIT $5::integer`

type renewableRow struct {
	ID    string `db:"id"`
	Nonce string `db:"nonce"`
}

// Locked rows are skipped: waiting for one while others are locked could deadlock with a
// relocation.
const renewSeveralSQL = `
WITH free AS MATERIALIZED (
    SELECT b.id
    FROM booking_platform.bookings b
    JOIN unnest(string_to_array($2::text, ','), string_to_array($3::text, ',')) AS was (id, nonce)
        ON b.id = was.id::uuid
    WHERE COALESCE(encode(b.owner_nonce, 'hex'), 'none') = was.nonce
    FOR NO KEY UPDATE OF b SKIP LOCKED
)
UPDATE booking_platform.bookings b
SET owner_secret = $1::text, owner_nonce = uuid_send(gen_random_uuid())
FROM free WHERE b.id = free.id
RETURNING` + bookingColumns

// renewLockedSQL waits for the one row, up to lock_timeout.
const renewLockedSQL = `
UPDATE booking_platform.bookings b
SET owner_secret = $1::text, owner_nonce = uuid_send(gen_random_uuid())
WHERE b.id = $2::uuid AND COALESCE(encode(b.owner_nonce, 'hex'), 'none') = $3::text
RETURNING` + bookingColumns

// RenewOwnerTokens gives a batch of coming bookings new owner tokens, made with the first
// of [Options.OwnerSecrets]. Older links stop working, so the customers need the new
// ones. Call it with Next as After until Next is "". Start an interrupted run again from
// the beginning; with All, or with the first secret, continue after the last booking
// instead.
//
// Safe on several replicas; of concurrent runs one renews each booking. What was renewed
// before an error is returned with it, unless the answer to a COMMIT is lost:
// [Store.WithOwnerToken] reads those tokens. A batch takes a read and a transaction, and
// one more for each locked booking. The errors are one if the store has no secrets, and a
// [*ValidationError] for after, limit or secret.
func (s *Store) RenewOwnerTokens(ctx context.Context, req RenewRequest) (RenewedTokens, error) {
	batch, err := s.renewOwnerTokens(ctx, req)
	return batch, wrap(ctx, "renew owner tokens", err)
}

func (s *Store) renewOwnerTokens(ctx context.Context, req RenewRequest) (batch RenewedTokens, err error) {
	if len(s.secrets) == 0 {
		return batch, errNoSecrets
	}
	after := cmp.Or(req.After, "00000000-0000-0000-0000-000000000000")
	p := problems{}
	if !isID(after) {
		p.add("after", "must be the id of a booking")
	}
	if req.Limit < 0 || req.Limit > maxRenewBatch {
		p.add("limit", "must be between 1 and 1000")
	}
	if req.Secret != "" && (len(req.Secret) != secretIDLength || strings.Trim(req.Secret, "0123456789abcdef") != "") {
		p.add("secret", "must be the id of a secret, 12 hexadecimal digits")
	}
	if req.All && req.Secret != "" {
		p.add("secret", "must be empty where all are renewed")
	}
	if err := p.err(); err != nil {
		return batch, err
	}
	limit := cmp.Or(req.Limit, renewBatch)
	var listed []string
	for _, secret := range s.secrets {
		listed = append(listed, secret.id)
	}
	var was []renewableRow
	err = s.read(ctx, func(q Querier) (err error) {
		was, err = selectAll[renewableRow](ctx, q, renewableSQL, strings.ToLower(after), req.All, req.Secret,
			strings.Join(listed, ","), limit)
		return err
	})
	if err != nil || len(was) == 0 {
		return batch, err
	}
	renewed := map[string]bookingRow{}
	err = s.renewSeveral(ctx, was, renewed)
	for _, row := range was {
		if err != nil {
			break
		}
		if _, done := renewed[row.ID]; !done {
			err = s.renewLocked(ctx, row, renewed)
		}
	}
	for _, row := range renewed {
		b, bad := s.bookingWithToken(row)
		if bad != nil {
			return batch, bad
		}
		batch.Bookings = append(batch.Bookings, b)
	}
	slices.SortFunc(batch.Bookings, func(a, b Booking) int { return cmp.Compare(a.ID, b.ID) })
	if err == nil && len(was) == limit {
		batch.Next = was[limit-1].ID
	}
	return batch, err
}

func (s *Store) renewSeveral(ctx context.Context, was []renewableRow, renewed map[string]bookingRow) error {
	var ids, nonces []string
	for _, row := range was {
		ids, nonces = append(ids, row.ID), append(nonces, row.Nonce)
	}
	var rows []bookingRow
	err := s.renew(ctx, func(q Querier) (err error) {
		rows, err = selectAll[bookingRow](ctx, q, renewSeveralSQL, s.secrets[0].id, strings.Join(ids, ","),
			strings.Join(nonces, ","))
		return err
	})
	if err != nil {
		return err
	}
	for _, row := range rows {
		renewed[row.ID] = row
	}
	return nil
}

// renew's transaction is cancelled by the end of ctx.
func (s *Store) renew(ctx context.Context, step func(Querier) error) error {
	return s.retry(ctx, step, s.transact(ctx, step))
}

func (s *Store) renewLocked(ctx context.Context, was renewableRow, renewed map[string]bookingRow) error {
	var row bookingRow
	var found bool
	err := s.renew(ctx, func(q Querier) (err error) {
		row, found, err = selectOne[bookingRow](ctx, q, renewLockedSQL, s.secrets[0].id, was.ID, was.Nonce)
		return err
	})
	if err == nil && found {
		renewed[row.ID] = row
	}
	return err
}
