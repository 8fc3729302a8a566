package webhook

// ListSQL lets a test look at its plan.
const ListSQL = listSQL

// WaitingTogether is how many events of a type wait for a batch.
func (r *Receiver) WaitingTogether(eventType string) int {
	t := r.together[eventType]
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.waiting)
}
