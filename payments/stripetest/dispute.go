package stripetest

// DisputeStatus is what has become of a dispute: Stripe's status.
type DisputeStatus string

// The statuses of a dispute here.
const (
	DisputeOpen DisputeStatus = "needs_response"
	DisputeWon  DisputeStatus = "won"
	DisputeLost DisputeStatus = "lost"
)

// Dispute is a charge that the customer's bank has taken back.
type Dispute struct {
	Status DisputeStatus
}
