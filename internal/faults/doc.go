// Package faults injects single faults between a customer's payment and its booking, and
// then checks invariants: queries over the database and the records of the Stripe
// stand-in ([Truth]).
//
//	broken, err := faults.Broken(ctx, db, faults.TruthOf(stripe))
//
// They hold once the background steps have nothing left to do: until a due refund is
// made, for example, unapplied money has not gone back. Tests that kill a host are in
// internal/e2e.
package faults
