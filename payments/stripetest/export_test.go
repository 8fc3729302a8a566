package stripetest

import (
	"context"
	"time"
)

// The parameters of each endpoint, to compare with the description.
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

// Call Keep before using the server.
func (s *Server) Keep(n int) { s.keep = n }

// Call LookAgain before Run.
func (s *Server) LookAgain(d time.Duration) { s.lookAgain = d }

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
