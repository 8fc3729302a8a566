package stripetest

import (
	"context"
	"time"
)

// What each endpoint knows, to be compared with Stripe's description.
var (
	CreateParameters   = createParameters
	ExpireParameters   = expireParameters
	ListParameters     = listParameters
	RetrieveParameters = retrieveParameters

	RefundParameters     = refundParameters
	RefundListParameters = refundListParameters
	EventListParameters  = eventListParameters

	EndpointListParameters = endpointListParameters
)

// Keep sets how many sessions, events and idempotency keys each are remembered.
// It is called before the server is used.
func (s *Server) Keep(n int) { s.keep = n }

// LookAgain sets how often Run looks at the clock. It is called before Run.
func (s *Server) LookAgain(d time.Duration) { s.lookAgain = d }

// WaitAttempted waits until a delivery of every event has been attempted.
func (s *Server) WaitAttempted(ctx context.Context) error {
	return s.await(ctx, func() (bool, error) {
		for e := range s.events.newestFirst() {
			if len(e.Attempts) == 0 {
				return false, nil
			}
		}
		return true, nil
	})
}
