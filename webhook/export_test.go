package webhook

// ListSQL lets a test look at its plan.
const ListSQL = listSQL
