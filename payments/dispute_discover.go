package payments

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/form"
)

const (
	// disputePages is how many pages of 100 one run reads at most.
	disputePages = 20
	// disputeBatch is how many disputes that are open here one run asks about at most,
	// and disputePause, in seconds, how long each is left alone after that. A dispute can
	// stay open for months, much longer than it is listed.
	disputeBatch = 20
	disputePause = 6 * 3600
	// disputesFor is for how long new disputes are listed.
	disputesFor = 30 * 24 * time.Hour
)

// disputePage is a page of disputes, each as Stripe wrote it.
type disputePage struct {
	stripe.APIResource
	HasMore bool              `json:"has_more"`
	Data    []json.RawMessage `json:"data"`
}

// DiscoverDisputes is one step: it lists, at Stripe, the disputes of the last 30 days, asks
// about those that are still open here, and records what no event has told of: so a
// dispute is known, and its end, though Stripe never made the event. Run it every quarter
// of an hour. It returns how many disputes there was news of.
//
// It reads 2,000 disputes at most, a page of 100 in one call and one round trip, and asks
// about 20; no transaction is open while Stripe is asked. It is safe on every replica at
// once. What Stripe does not answer is [ErrUnavailable]. It ends with ctx.
func (p *Payments) DiscoverDisputes(ctx context.Context) (int, error) {
	ctx = actingAs(ctx, "payments")
	found, err := p.listDisputes(ctx)
	if err != nil {
		return found, err
	}
	asked, err := p.askAboutDisputes(ctx)
	return found + asked, err
}

func (p *Payments) listDisputes(ctx context.Context) (int, error) {
	found, after := 0, ""
	for range disputePages {
		if p.paused() {
			break
		}
		params := &stripe.DisputeListParams{CreatedRange: &stripe.RangeQueryParams{GreaterThanOrEqual: time.Now().Add(-disputesFor).Unix()}}
		params.Limit = stripe.Int64(100)
		if after != "" {
			params.StartingAfter = stripe.String(after)
		}
		query := &form.Values{}
		form.AppendTo(query, params)
		page := &disputePage{}
		if err := p.getRaw(ctx, "/v1/disputes", query, page); err != nil {
			return found, p.unavailable(ctx, "list the disputes", "", err)
		}
		n, last, err := p.takeDisputes(ctx, page.Data)
		found += n
		if err != nil || !page.HasMore || last == "" {
			return found, err
		}
		after = last
	}
	return found, nil
}

const leaseDisputeSQL = `
UPDATE booking_platform.disputes AS d SET asked_at = statement_timestamp()
WHERE (d.payment_id, d.id) = (
	SELECT o.payment_id, o.id FROM booking_platform.disputes o
	WHERE NOT o.closed AND o.asked_at < statement_timestamp() - make_interval(secs => $1::int)
	ORDER BY o.asked_at LIMIT 1
	FOR UPDATE SKIP LOCKED)
RETURNING d.id`

// askAboutDisputes asks about disputes that are open here, of which Stripe may have told
// nothing since.
func (p *Payments) askAboutDisputes(ctx context.Context) (int, error) {
	found := 0
	for range disputeBatch {
		if p.paused() || ctx.Err() != nil {
			break
		}
		var id string
		err := p.inTxRetry(ctx, "lease a dispute", func(q *sql.Tx) error {
			return q.QueryRowContext(ctx, leaseDisputeSQL, disputePause).Scan(&id)
		})
		if errors.Is(err, sql.ErrNoRows) {
			break
		}
		if err != nil {
			return found, err
		}
		one := &rawObject{}
		err = p.getRaw(ctx, "/v1/disputes/"+url.PathEscape(id), &form.Values{}, one)
		var se *stripe.Error
		if errors.As(err, &se) && se.HTTPStatusCode == http.StatusNotFound {
			// Another account's, or another mode's.
			continue
		}
		if err != nil {
			return found, p.unavailable(ctx, "ask about a dispute", "", err)
		}
		n, _, err := p.takeDisputes(ctx, []json.RawMessage{one.raw})
		found += n
		if err != nil {
			return found, err
		}
	}
	return found, nil
}

// rawObject keeps an answer as Stripe wrote it.
type rawObject struct {
	stripe.APIResource
	raw json.RawMessage
}

// UnmarshalJSON keeps a copy.
func (o *rawObject) UnmarshalJSON(b []byte) error {
	o.raw = append(json.RawMessage(nil), b...)
	return nil
}

func (p *Payments) getRaw(ctx context.Context, path string, query *form.Values, into stripe.LastResponseSetter) error {
	ctx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
	defer cancel()
	return p.backend.CallRaw(http.MethodGet, path, p.key, query, &stripe.Params{Context: ctx}, into)
}

// A dispute is news when it has no row, or Stripe says something that the row does not
// have.
const newDisputesSQL = `
SELECT t.n, p.id::text, p.booking_id::text
FROM jsonb_to_recordset($1::jsonb) AS t (n int, id text, intent text, claimed boolean, withdrawn boolean, reinstated boolean, closed boolean, won boolean, lost boolean)
JOIN booking_platform.payments p ON p.stripe_payment_intent_id = t.intent
LEFT JOIN booking_platform.disputes d ON d.payment_id = p.id AND d.id = t.id
WHERE d.id IS NULL OR t.claimed > d.claimed OR t.withdrawn > d.withdrawn OR t.reinstated > d.reinstated OR t.closed > d.closed OR t.won > d.won OR t.lost > d.lost
ORDER BY t.n`

// takeDisputes records those that are news, and returns how many, and the last one's id.
func (p *Payments) takeDisputes(ctx context.Context, objects []json.RawMessage) (news int, last string, err error) {
	type listedDispute struct {
		N          int    `json:"n"`
		ID         string `json:"id"`
		Intent     string `json:"intent"`
		Claimed    bool   `json:"claimed"`
		Withdrawn  bool   `json:"withdrawn"`
		Reinstated bool   `json:"reinstated"`
		Closed     bool   `json:"closed"`
		Won        bool   `json:"won"`
		Lost       bool   `json:"lost"`
	}
	all := []listedDispute{}
	facts := make([]disputeFacts, len(objects))
	for n, object := range objects {
		var o stripe.Dispute
		if json.Unmarshal(object, &o) != nil || o.ID == "" {
			continue
		}
		last = o.ID
		f, ok := readDispute(o.ID, object)
		if !ok || o.PaymentIntent == nil {
			continue
		}
		facts[n] = f
		all = append(all, listedDispute{n, f.id, o.PaymentIntent.ID, f.claimed, f.withdrawn, f.reinstated, f.closed, f.won,
			f.lost})
	}
	encoded, err := json.Marshal(all)
	if err != nil {
		return 0, last, fmt.Errorf("payments: encode the disputes: %w", err)
	}
	type of struct {
		n                    int
		paymentID, bookingID string
	}
	var changed []of
	err = p.inTxRetry(ctx, "find new disputes", func(q *sql.Tx) error {
		changed = nil
		rows, err := q.QueryContext(ctx, newDisputesSQL, string(encoded))
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var o of
			if err := rows.Scan(&o.n, &o.paymentID, &o.bookingID); err != nil {
				return err
			}
			changed = append(changed, o)
		}
		return rows.Err()
	})
	for _, o := range changed {
		if err == nil {
			err = p.recordDiscovered(ctx, o.paymentID, o.bookingID, facts[o.n])
		}
		if err != nil {
			break
		}
		news++
	}
	return news, last, err
}

// recordDiscovered records one, as its event would have.
func (p *Payments) recordDiscovered(ctx context.Context, paymentID, bookingID string, f disputeFacts) error {
	return p.inTxRetry(ctx, "record a dispute", func(tx *sql.Tx) error {
		if _, err := p.bookings.Tx(tx).Lock(ctx, bookingID); err != nil {
			return err
		}
		return p.observe(ctx, tx, bookingID, func() error {
			d, err := recordDispute(ctx, tx, paymentID, f)
			if err != nil {
				return err
			}
			p.logDispute(ctx, d, bookingID)
			return commitDueRefund(ctx, tx, paymentID, "", "payments")
		})
	})
}
