package booking

import (
	"cmp"
	"context"
	"slices"
	"strings"
)

// RenewRequest says which coming bookings [Store.RenewOwnerTokens] gives other owner
// tokens: pending and confirmed ones that have not ended. The zero value stands for those
// whose link is dead, because its secret is not one of [Options.OwnerSecrets], those
// without a token included: it ends no link that works.
type RenewRequest struct {
	// Secret is the id of a secret, listed or not, as [SecretUse] has it: only tokens
	// that were made with it are renewed.
	Secret string
	// All renews every token.
	All bool
	// After is the Next of the batch before; "" begins.
	After string
	// Limit is how many bookings a batch has at most, up to 1000; 0 stands for 500.
	Limit int
}

// RenewedTokens is one batch of renewals.
type RenewedTokens struct {
	// Bookings have their new OwnerToken, by id. Those that another renewal changed
	// meanwhile are not among them.
	Bookings []Booking
	// Next is the After of the next batch; "" where there is none.
	Next string
}

const (
	renewBatch    = 500
	maxRenewBatch = 1000
)

// A token is renewed only while it is the one that was read here, so that of two runs at
// once one renews it.
const renewableSQL = `
SELECT b.id::text AS id, COALESCE(encode(b.owner_nonce, 'hex'), 'none') AS nonce
FROM booking_platform.bookings b
WHERE ` + comingSQL + ` AND b.id > $1::uuid
  AND ($2::boolean OR b.owner_secret = NULLIF($3::text, '') OR $3::text = '' AND b.owner_secret <> ALL (string_to_array($4::text, ',')))
ORDER BY b.id LIMIT $5::integer`

type renewableRow struct {
	ID    string `db:"id"`
	Nonce string `db:"nonce"`
}

// Rows that others have locked are passed over: waiting for one while others are locked
// could deadlock with a hold that gives its neighbours other units.
const renewSeveralSQL = `
WITH free AS MATERIALIZED (
    SELECT b.id
    FROM booking_platform.bookings b
    JOIN unnest(string_to_array($2::text, ','), string_to_array($3::text, ',')) AS was (id, nonce) ON b.id = was.id::uuid
    WHERE COALESCE(encode(b.owner_nonce, 'hex'), 'none') = was.nonce
    FOR NO KEY UPDATE OF b SKIP LOCKED
)
UPDATE booking_platform.bookings b
SET owner_secret = $1::text, owner_nonce = uuid_send(gen_random_uuid())
FROM free WHERE b.id = free.id
RETURNING` + bookingColumns

// renewLockedSQL waits, up to lock_timeout, for the one row that it locks.
const renewLockedSQL = `
UPDATE booking_platform.bookings b
SET owner_secret = $1::text, owner_nonce = uuid_send(gen_random_uuid())
WHERE b.id = $2::uuid AND COALESCE(encode(b.owner_nonce, 'hex'), 'none') = $3::text
RETURNING` + bookingColumns

// RenewOwnerTokens gives a batch of coming bookings other owner tokens, made with the
// first of [Options.OwnerSecrets]. Every link with an older token is dead, so the new
// ones have to reach the customers. Call it again with Next as After until Next is empty.
// A run that was interrupted is begun again from the start; with All, or the first
// secret, it is continued after the last booking, or links that it made are renewed once
// more.
//
// It is safe beside everything else on any number of replicas, and of several runs at
// once each booking is renewed by one. What was renewed before an error is returned with
// it, unless the answer to a COMMIT is lost: [Store.WithOwnerToken] tells those tokens. A
// batch is a read and a transaction, and one more transaction for each booking that
// another one had locked. The error is one where the store has no secrets, or a
// [*ValidationError] for a wrong After, Limit or Secret.
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
		b, bad := s.told(row)
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

// renewSeveral renews those of a batch that no other transaction has locked.
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

// renew runs a step in a transaction, so that the end of ctx cancels it: what is renewed
// after that would be told to no caller.
func (s *Store) renew(ctx context.Context, step func(Querier) error) error {
	return s.retry(ctx, step, s.transact(ctx, step))
}

// renewLocked renews one that was locked, unless it has been renewed meanwhile.
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
