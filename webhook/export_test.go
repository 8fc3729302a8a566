package webhook

// The statements let a test look at their plans.
const (
	ListSQL         = listSQL
	WaitingSQL      = waitingSQL
	DropPayloadsSQL = dropPayloadsSQL
	DeleteRowsSQL   = deleteRowsSQL
)
