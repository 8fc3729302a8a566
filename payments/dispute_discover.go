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
	disputePages = 20
	// disputeBatch is the maximum number of open disputes read per run, and disputePause,
	// in seconds, the pause before one is read again. A dispute can stay open for months,
	// longer than it is listed.
	disputeBatch = 20
	disputePause = 6 * 3600
	// disputesFor is how long new disputes are listed.
	disputesFor = 30 * 24 * time.Hour
)

// disputePage keeps the disputes as Stripe wrote them.
type disputePage struct {
	stripe.APIResource
	HasMore bool              `json:"has_more"`
	Data    []json.RawMessage `json:"data"`
}

// DiscoverDisputes is a step that lists the disputes of the last 30 days at Stripe, reads
// those that are open here, and records changes of which no event came. Run it every 15
// minutes. It returns how many disputes have changed.
//
// It reads at most 2,000 listed disputes, with one call and one round trip per 100, and
// 20 open ones. It is safe on every replica at once. If Stripe does not answer the error
// is [ErrUnavailable].
func (p *Payments) DiscoverDisputes(ctx context.Context) (int, error) {
	ctx = inBackground(actingAs(ctx, "payments"))
	found, err := p.listDisputes(ctx)
	if err != nil {
		return found, err
	}
	asked, err := p.refreshOpenDisputes(ctx)
	return found + asked, err
}

func (p *Payments) listDisputes(ctx context.Context) (int, error) {
	found, after := 0, ""
	for range disputePages {
		if p.paused() {
			break
		}
		since := time.Now().Add(-disputesFor).Unix()
		params := &stripe.DisputeListParams{CreatedRange: &stripe.RangeQueryParams{GreaterThanOrEqual: since}}
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
		n, last, err := p.recordNewDisputes(ctx, page.Data)
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
	SELECT o.payment_id, o.id
	FROM booking_platform.disputes o JOIN booking_platform.payments p ON p.id = o.payment_id
	WHERE NOT o.closed AND o.asked_at < statement_timestamp() - make_interval(secs => $1::int)
	AND p.account IN ('', $2::text)
	ORDER BY o.asked_at LIMIT 1
	FOR UPDATE OF o SKIP LOCKED)
RETURNING d.id`

// refreshOpenDisputes reads disputes from Stripe that are open here.
func (p *Payments) refreshOpenDisputes(ctx context.Context) (int, error) {
	found := 0
	for range disputeBatch {
		if p.paused() || ctx.Err() != nil {
			break
		}
		var id string
		err := p.inTxRetry(ctx, "lease a dispute", func(q *sql.Tx) error {
			return q.QueryRowContext(ctx, leaseDisputeSQL, disputePause, p.account).Scan(&id)
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
			// It belongs to another account or mode.
			continue
		}
		if err != nil {
			return found, p.unavailable(ctx, "read a dispute", "", err)
		}
		n, _, err := p.recordNewDisputes(ctx, []json.RawMessage{one.raw})
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

func (o *rawObject) UnmarshalJSON(b []byte) error {
	o.raw = append(json.RawMessage(nil), b...)
	return nil
}

func (p *Payments) getRaw(ctx context.Context, path string, query *form.Values, into stripe.LastResponseSetter) error {
	ctx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
	defer cancel()
	return p.backend.CallRaw(http.MethodGet, path, p.key, query, &stripe.Params{Context: ctx}, into)
}

// A dispute is new if it has no row, or Stripe reports a fact that the row lacks.
const newDisputesSQL = `
SELECT t.n, p.id::text, p.booking_id::text
FROM jsonb_to_recordset($1::jsonb) AS t (n int, id text, intent text, claimed boolean, withdrawn boolean,
	reinstated boolean, closed boolean, won boolean, lost boolean)
JOIN booking_platform.payments p ON p.stripe_payment_intent_id = t.intent
LEFT JOIN booking_platform.disputes d ON d.payment_id = p.id AND d.id = t.id
WHERE d.id IS NULL OR t.claimed > d.claimed OR t.withdrawn > d.withdrawn OR t.reinstated > d.reinstated
	OR t.closed > d.closed OR t.won > d.won OR t.lost > d.lost
ORDER BY t.n`

// recordNewDisputes records new ones. It returns their number and the last listed id.
func (p *Payments) recordNewDisputes(ctx context.Context,
	objects []json.RawMessage) (news int, last string, err error) {
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
		all = append(all, listedDispute{n, f.id, o.PaymentIntent.ID, f.claimed, f.withdrawn, f.reinstated, f.closed,
			f.won,
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
