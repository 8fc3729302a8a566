package webhook

import (
	"context"
)

// Receive takes an event that is known to be Stripe's without a signature, because Stripe
// answered it to a call of ours (GET /v1/events), through what a delivery goes through:
// claim, handler, commit. payload is the event as Stripe wrote it. What was settled
// before is a Duplicate; an event that a delivery is at work on waits for that. Safe on
// every replica at once.
//
// The outcome is Rejected, with a *[RejectedError], for what is no event, and Failed with
// why. It has no part in [Receiver.Stats] and in Options.Observe, which count deliveries;
// all but duplicates, of which a list is full, have their line in the log. It takes as
// long as Options.Timeout at most, and the round trips of [Receiver.ServeHTTP].
func (r *Receiver) Receive(ctx context.Context, payload []byte) (Outcome, error) {
	ev, ok := decode(payload)
	if !ok {
		return Rejected, &RejectedError{ReasonNotAnEvent}
	}
	return r.takeUp(ctx, ev, "webhook event received without a delivery", Duplicate)
}
