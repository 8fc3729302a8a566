package runbook

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
)

// Shell runs blocks in Dir with Env. Prelude defines the functions that the page uses,
// such as host and sql.
type Shell struct {
	Prelude, Dir string
	Env          []string
}

// Run runs one block and compares its output. A failed command is an error.
func (s Shell) Run(ctx context.Context, b Block) error {
	cmd := exec.CommandContext(ctx, "sh", "-eu", "-c", s.Prelude+"\n"+b.Commands)
	cmd.Dir, cmd.Env = s.Dir, s.Env
	output, err := cmd.Output()
	if err != nil {
		var words string
		var failed *exec.ExitError
		if errors.As(err, &failed) {
			words = string(failed.Stderr)
		}
		return fmt.Errorf("RUNBOOK.md:%d: %w\n%s%s", b.Line, err, output, words)
	}
	return b.Compare(string(output))
}
