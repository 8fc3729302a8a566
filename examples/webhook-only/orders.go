package main

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/checkout/session"
)

// The shop's tables. They do not prevent a second parcel for an order.
const tablesSQL = `
CREATE TABLE IF NOT EXISTS orders (
	id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	item   text NOT NULL,
	cents  bigint NOT NULL,
	status text NOT NULL DEFAULT 'open'
);
CREATE TABLE IF NOT EXISTS parcels (
	order_id bigint NOT NULL REFERENCES orders (id)
)`

// payOrderSQL changes no row if there is no such open order.
const payOrderSQL = `
WITH paid AS (UPDATE orders SET status = 'paid' WHERE id = $1 AND status = 'open' RETURNING id)
INSERT INTO parcels (order_id) SELECT id FROM paid`

type shop struct {
	db       *sql.DB
	sessions session.Client
	url      string
}

func newShop(ctx context.Context, db *sql.DB, url, secretKey, apiBase string) (*shop, error) {
	if _, err := db.ExecContext(ctx, tablesSQL); err != nil {
		return nil, fmt.Errorf("create the shop's tables: %w", err)
	}
	backend := stripe.GetBackendWithConfig(stripe.APIBackend, &stripe.BackendConfig{
		URL: stripe.String(apiBase), LeveledLogger: &stripe.LeveledLogger{Level: stripe.LevelError},
	})
	return &shop{db: db, sessions: session.Client{B: backend, Key: secretKey}, url: url}, nil
}

// placeOrder also returns the URL of the order's Checkout Session.
func (s *shop) placeOrder(ctx context.Context) (order, string, error) {
	o := order{Item: "A mug", Cents: 1400}
	err := s.db.QueryRowContext(ctx, `INSERT INTO orders (item, cents) VALUES ($1, $2) RETURNING id, status`, o.Item,
		o.Cents).Scan(&o.ID, &o.Status)
	if err != nil {
		return order{}, "", fmt.Errorf("store the order: %w", err)
	}
	number := strconv.FormatInt(o.ID, 10)
	params := &stripe.CheckoutSessionParams{
		Mode: stripe.String(string(stripe.CheckoutSessionModePayment)),
		// The webhook finds the order by this.
		ClientReferenceID: stripe.String(number),
		SuccessURL:        stripe.String(s.url + "/orders/" + number),
		CancelURL:         stripe.String(s.url + "/"),
		LineItems: []*stripe.CheckoutSessionLineItemParams{{
			Quantity: stripe.Int64(1),
			PriceData: &stripe.CheckoutSessionLineItemPriceDataParams{
				Currency:    stripe.String("eur"),
				UnitAmount:  stripe.Int64(o.Cents),
				ProductData: &stripe.CheckoutSessionLineItemPriceDataProductDataParams{Name: stripe.String(o.Item)},
			},
		}},
	}
	params.Context = ctx
	params.SetIdempotencyKey("order-" + number)
	checkout, err := s.sessions.New(params)
	if err != nil {
		return order{}, "", fmt.Errorf("ask Stripe for a Checkout Session: %w", err)
	}
	return o, checkout.URL, nil
}

type order struct {
	ID, Cents, Parcels int64
	Item, Status       string
}

const orderSQL = `
SELECT o.id, o.item, o.cents, o.status, (SELECT count(*) FROM parcels p WHERE p.order_id = o.id)
FROM orders o WHERE o.id = $1`

func (s *shop) order(ctx context.Context, id int64) (o order, err error) {
	err = s.db.QueryRowContext(ctx, orderSQL, id).Scan(&o.ID, &o.Item, &o.Cents, &o.Status, &o.Parcels)
	return o, err
}
