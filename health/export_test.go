package health

import "time"

// SetRepeat changes how often the reason is logged.
func (h *Readiness) SetRepeat(d time.Duration) { h.repeatEvery = d }
