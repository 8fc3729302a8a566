package stripetest

import (
	"context"
	"time"
)

// The parameters of each endpoint, to compare with Stripe's description.
var (
	CreateParameters   = createParameters
	ExpireParameters   = expireParameters
	ListParameters     = listParameters
	RetrieveParameters = retrieveParameters

	RefundParameters     = refundParameters
	RefundListParameters = refundListParameters
	EventListParameters  = eventListParameters

	IntentParameters        = intentParameters
	IntentListParameters    = intentListParameters
	IntentConfirmParameters = intentConfirmParameters
	IntentCancelParameters  = intentCancelParameters

	EndpointListParameters = endpointListParameters
)

// Keep sets how many objects of each kind are kept. Call it before using the server.
func (s *Server) Keep(n int) { s.keep = n }

// LookAgain sets how often Run reads the clock. Call it before Run.
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
