package payments

// SessionStatus asks Stripe about a session, as the steps do.
var SessionStatus = (*Payments).sessionStatus

// CompletedTogether handles completed Checkouts together.
var CompletedTogether = (*Payments).completedTogether
