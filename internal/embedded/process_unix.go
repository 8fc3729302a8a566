//go:build unix

package embedded

import (
	"context"
)

// send sends a signal; one that comes too late is none.
func (p *process) send(_ context.Context, how shutdown) { _ = p.cmd.Process.Signal(how) }
