package payments

// SessionStatus asks Stripe about a session, as the steps do.
var SessionStatus = (*Payments).sessionStatus

// CompletedTogether handles completed Checkouts together.
var CompletedTogether = (*Payments).completedTogether

// EndPause is when the pause has passed that Stripe has asked for.
func EndPause(p *Payments) { p.courtesy.steps.Store(0); p.courtesy.pages.Store(0) }

// ReadRetryAfter reads the header.
var ReadRetryAfter = readRetryAfter

// BacklogSQL lets a test look at its plan.
const BacklogSQL = backlogSQL
