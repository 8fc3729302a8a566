package booking

import "context"

// Check returns the [*ValidationError] that [Store.Hold] would return for a request, and
// nil where Hold would go on to look at the limits and the slot. It takes nothing and
// counts nothing, so that a caller can tell a request that is wrong from one that is to
// be limited. What was accepted before under an idempotency key may be refused here and
// answered by Hold. No round trip where the resource's rules are in memory and the
// request is right by them, else one.
func (s *Store) Check(ctx context.Context, req HoldRequest) error {
	if req.Party == 0 {
		req.Party = 1
	}
	h := &holder{store: s, run: s.read}
	_, err := h.rules(ctx, req)
	return wrap(ctx, "check", err)
}
