package payments

// SessionStatus asks Stripe about a session, as the steps do.
var SessionStatus = (*Payments).sessionStatus

// CompletedBatch is handleCompletedBatch.
var CompletedBatch = (*Payments).handleCompletedBatch

// EndPause is when the pause has passed that Stripe has asked for.
func EndPause(p *Payments) { p.backoff.steps.Store(0); p.backoff.pages.Store(0) }

// ReadRetryAfter reads the header.
var ReadRetryAfter = readRetryAfter

// BacklogSQL lets a test look at its plan.
const BacklogSQL = backlogSQL
