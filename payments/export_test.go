package payments

var SessionStatus = (*Payments).sessionStatus

func EndPause(p *Payments) { p.backoff.steps.Store(0); p.backoff.pages.Store(0) }

var ReadRetryAfter = readRetryAfter

const BacklogSQL = backlogSQL

var Shapeable = shapeable

const LostTries = lostTries
