package faults

import (
	"encoding/json"
	"fmt"

	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
	"github.com/booking-platform/booking-platform/webhook"
)

// Truth is what happened outside of our database. Amounts are in minor units.
type Truth struct {
	// Charges, Refunds, Disputes and Events are the stand-in's.
	Charges  []Charge  `json:"charges"`
	Refunds  []Refund  `json:"refunds"`
	Disputes []Dispute `json:"disputes"`
	Events   []Event   `json:"events"`
	// Balance is the stand-in's ledger of money, by currency.
	Balance map[string]Money `json:"balance"`
	// Answered are the ids of the events that were answered 200: those that the stand-in
	// delivered, and what a test adds that has sent events itself.
	Answered []string `json:"answered"`
	// Receivers share the ledger. That of the hosts is among them.
	Receivers []Receiver `json:"receivers"`
}

// HostReceiver is the name of the receiver that payments' handlers are registered on,
// where [Truth.ReceivedBy] does not say otherwise.
const HostReceiver = webhook.DefaultName

// Receiver is a receiver and what its handlers did.
type Receiver struct {
	Name string `json:"name"`
	// Types are those that a replica of it has a handler for.
	Types []string `json:"types"`
	// Effects are the ids of the events that took effect, each as often as it did. Nil
	// for the hosts' receiver, whose effects are asked of the database.
	Effects []string `json:"effects"`
}

// Charge is a payment that was made at Stripe.
type Charge struct {
	ID       string `json:"id"`
	Session  string `json:"session"`
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
	// Succeeded tells that the money came; a delayed method takes its time.
	Succeeded bool `json:"succeeded"`
}

// Refund is a refund as Stripe has it.
type Refund struct {
	ID       string `json:"id"`
	Session  string `json:"session"`
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
	Status   string `json:"status"`
}

// Dispute is a dispute as Stripe has it.
type Dispute struct {
	ID       string `json:"id"`
	Session  string `json:"session"`
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
	Closed   bool   `json:"closed"`
	Status   string `json:"status"`
}

// Event is an event that Stripe has made.
type Event struct {
	ID      string `json:"id"`
	Type    string `json:"type"`
	Session string `json:"session"`
}

// Money is what has moved in one currency.
type Money struct {
	Captured int64 `json:"captured"`
	Refunded int64 `json:"refunded"`
	Pending  int64 `json:"pending"`
	Disputed int64 `json:"disputed"`
}

// ReceivedBy gives the hosts' receiver its name: the program's is not the package's
// default.
func (t Truth) ReceivedBy(name string) Truth {
	t.Receivers = append([]Receiver(nil), t.Receivers...)
	for n := range t.Receivers {
		if t.Receivers[n].Effects == nil {
			t.Receivers[n].Name = name
		}
	}
	return t
}

// TruthOf reads the stand-in: the newest 10,000 of each kind, which is all that a test
// makes.
func TruthOf(s *stripetest.Server) Truth {
	t := Truth{
		Balance: map[string]Money{}, Charges: []Charge{}, Refunds: []Refund{}, Disputes: []Dispute{}, Events: []Event{},
		Answered:  []string{},
		Receivers: []Receiver{{Name: HostReceiver, Types: payments.EventTypes()}},
	}
	for _, c := range s.Charges() {
		t.Charges = append(t.Charges, Charge{c.ID, c.SessionID, c.Amount, c.Currency,
			c.Status == stripetest.ChargeSucceeded})
	}
	for _, r := range s.Refunds() {
		t.Refunds = append(t.Refunds, Refund{r.ID, r.SessionID, r.Amount, r.Currency, string(r.Status)})
	}
	for _, d := range s.Disputes() {
		t.Disputes = append(t.Disputes, Dispute{d.ID, d.SessionID, d.Amount, d.Currency, d.Closed, string(d.Status)})
	}
	for _, e := range s.Events() {
		t.Events = append(t.Events, Event{e.ID, e.Type, e.SessionID})
		if e.Delivered {
			t.Answered = append(t.Answered, e.ID)
		}
	}
	for currency, m := range s.Balance() {
		t.Balance[currency] = Money{m.Captured, m.Refunded, m.Pending, m.Disputed}
	}
	return t
}

// parameter is the truth as the queries get it.
func (t Truth) parameter() (string, error) {
	raw, err := json.Marshal(t)
	if err != nil {
		return "", fmt.Errorf("faults: write the truth: %w", err)
	}
	return string(raw), nil
}
