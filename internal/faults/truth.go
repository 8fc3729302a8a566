package faults

import (
	"cmp"
	"encoding/json"
	"fmt"

	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
	"github.com/booking-platform/booking-platform/webhook"
)

// Truth is what happened outside the database. Amounts are in minor units.
type Truth struct {
	Charges  []Charge         `json:"charges"`
	Refunds  []Refund         `json:"refunds"`
	Disputes []Dispute        `json:"disputes"`
	Events   []Event          `json:"events"`
	Balance  map[string]Money `json:"balance"`
	// Answered has the ids of events answered 200.
	Answered []string `json:"answered"`
	// Receivers share the ledger; the hosts' is one.
	Receivers []Receiver `json:"receivers"`
}

// HostReceiver is the receiver with payments' handlers, unless changed by
// [Truth.ReceivedBy].
const HostReceiver = webhook.DefaultName

// Receiver is a receiver and its effects.
type Receiver struct {
	Name string `json:"name"`
	// Types are those that a replica has a handler for.
	Types []string `json:"types"`
	// Effects has an event id for each time it took effect; nil for the hosts' receiver,
	// whose effects are in the database.
	Effects []string `json:"effects"`
}

// Charge is a payment at Stripe. Session is its Checkout Session, or else its
// PaymentIntent, here and below.
type Charge struct {
	ID       string `json:"id"`
	Session  string `json:"session"`
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
	// Succeeded is false while a delayed method is pending.
	Succeeded bool `json:"succeeded"`
}

// Refund is a refund at Stripe.
type Refund struct {
	ID       string `json:"id"`
	Session  string `json:"session"`
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
	Status   string `json:"status"`
}

// Dispute is a dispute at Stripe.
type Dispute struct {
	ID       string `json:"id"`
	Session  string `json:"session"`
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
	Closed   bool   `json:"closed"`
	Status   string `json:"status"`
}

// Event is an event of Stripe.
type Event struct {
	ID      string `json:"id"`
	Type    string `json:"type"`
	Session string `json:"session"`
}

// Money is the sums of one currency.
type Money struct {
	Captured int64 `json:"captured"`
	Refunded int64 `json:"refunded"`
	Pending  int64 `json:"pending"`
	Disputed int64 `json:"disputed"`
}

// ReceivedBy names the hosts' receiver.
func (t Truth) ReceivedBy(name string) Truth {
	t.Receivers = append([]Receiver(nil), t.Receivers...)
	for n := range t.Receivers {
		if t.Receivers[n].Effects == nil {
			t.Receivers[n].Name = name
		}
	}
	return t
}

// TruthOf reads the stand-in's newest 10,000 objects of each kind.
func TruthOf(s *stripetest.Server) Truth {
	t := Truth{
		Balance: map[string]Money{}, Charges: []Charge{}, Refunds: []Refund{}, Disputes: []Dispute{}, Events: []Event{},
		Answered:  []string{},
		Receivers: []Receiver{{Name: HostReceiver, Types: payments.EventTypes()}},
	}
	for _, c := range s.Charges() {
		t.Charges = append(t.Charges, Charge{c.ID, cmp.Or(c.SessionID, c.PaymentIntentID), c.Amount, c.Currency,
			c.Status == stripetest.ChargeSucceeded})
	}
	for _, r := range s.Refunds() {
		t.Refunds = append(t.Refunds, Refund{r.ID, cmp.Or(r.SessionID, r.PaymentIntentID), r.Amount, r.Currency,
			string(r.Status)})
	}
	for _, d := range s.Disputes() {
		t.Disputes = append(t.Disputes, Dispute{d.ID, cmp.Or(d.SessionID, d.PaymentIntentID), d.Amount, d.Currency,
			d.Closed, string(d.Status)})
	}
	for _, e := range s.Events() {
		t.Events = append(t.Events, Event{e.ID, e.Type, cmp.Or(e.SessionID, e.IntentID)})
		if e.Delivered {
			t.Answered = append(t.Answered, e.ID)
		}
	}
	for currency, m := range s.Balance() {
		t.Balance[currency] = Money{m.Captured, m.Refunded, m.Pending, m.Disputed}
	}
	return t
}

func (t Truth) parameter() (string, error) {
	raw, err := json.Marshal(t)
	if err != nil {
		return "", fmt.Errorf("faults: write the truth: %w", err)
	}
	return string(raw), nil
}
