package payments

// SessionStatus reads a session at Stripe, as the steps do.
var SessionStatus = (*Payments).sessionStatus

var CompletedBatch = (*Payments).handleCompletedBatch

// EndPause ends the pause of a Retry-After.
func EndPause(p *Payments) { p.backoff.steps.Store(0); p.backoff.pages.Store(0) }

var ReadRetryAfter = readRetryAfter

const BacklogSQL = backlogSQL

// Shapeable is the list of parameters that Options.ShapeCheckout may set.
var Shapeable = shapeable

// LostTries is how often a refund is tried that Stripe refuses after a lost dispute.
const LostTries = lostTries
