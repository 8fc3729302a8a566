package payments

// SessionStatus asks Stripe about a session, as the steps do.
var SessionStatus = (*Payments).sessionStatus
