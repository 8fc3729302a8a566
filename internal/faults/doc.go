// Package faults tests what happens when something fails between a customer's payment and
// its booking. Each test injects one fault and then checks invariants.
//
// The invariants are queries over the database and over the records of the Stripe
// stand-in ([Truth]). [Broken] runs all of them; any test with payments through the
// stand-in can use it:
//
//	broken, err := faults.Broken(ctx, db, faults.TruthOf(stripe))
//
// They hold once the background steps have nothing left to do: before a due refund was
// made, for example, unapplied money has not gone back yet.
//
// Tests that kill a host are in internal/e2e.
package faults
