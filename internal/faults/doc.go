// Package faults breaks what can break between a customer's payment and its booking, one
// fault at a time, and asks after each whether what must always be true still is.
//
// What must be true are the invariants: queries over the database and over the truth of
// the Stripe stand-in, which keeps a ledger of its own of the money that has moved.
// [Broken] runs them all; any test that takes payments through the stand-in can end with
// it.
//
//	broken, err := faults.Broken(ctx, db, faults.TruthOf(stripe))
//
// They hold when the steps have nothing left to do: while a refund is due, money that
// cannot be applied has not gone back yet.
//
// Its tests are named after the faults. Those in which a host is killed are in
// internal/e2e, where the real binary is.
package faults
