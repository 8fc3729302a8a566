package stripetest

import "maps"

// Money is what has been moved in one currency, in its minor units.
type Money struct {
	Captured int64 // by charges that succeeded, whatever became of it afterwards
	Refunded int64 // by refunds that succeeded
	Pending  int64 // of refunds that are pending: neither refunded nor kept yet
	Disputed int64 // taken back by disputes that are open or lost
}

// Kept is what is left of the captured money.
func (m Money) Kept() int64 { return m.Captured - m.Refunded - m.Pending - m.Disputed }

// Balance returns the money by currency, in lower case: the truth that a
// program's own books are compared with. It is a ledger of its own, written as
// money moves, and so goes on counting what Charges and Refunds have forgotten.
// A delayed payment is in it once it is settled.
func (s *Server) Balance() map[string]Money {
	s.lock()
	defer s.mu.Unlock()
	return maps.Clone(s.balance)
}

// book changes the ledger of one currency. Callers hold s.mu.
func (s *Server) book(currency string, change func(*Money)) {
	m := s.balance[currency]
	change(&m)
	s.balance[currency] = m
}

// Charges returns all charges, newest first, the newest 10,000 of them.
func (s *Server) Charges() []Charge {
	s.lock()
	defer s.mu.Unlock()
	all := make([]Charge, 0, len(s.charges.order))
	for c := range s.charges.newestFirst() {
		all = append(all, c.snapshot())
	}
	return all
}

// Refunds returns all refunds, newest first, the newest 10,000 of them.
func (s *Server) Refunds() []Refund {
	s.lock()
	defer s.mu.Unlock()
	all := make([]Refund, 0, len(s.refunds.order))
	for r := range s.refunds.newestFirst() {
		all = append(all, r.snapshot())
	}
	return all
}
