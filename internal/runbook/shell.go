package runbook

import (
	"context"
	"fmt"
	"os/exec"
)

// Shell is where blocks are run: Prelude defines what the page takes for granted, such as
// host and sql, Dir is the folder, and Env its environment.
type Shell struct {
	Prelude, Dir string
	Env          []string
}

// Run runs one block by itself and compares what it prints. A command that fails ends the
// block with an error, as one does that prints something else.
func (s Shell) Run(ctx context.Context, b Block) error {
	cmd := exec.CommandContext(ctx, "sh", "-eu", "-c", s.Prelude+"\n"+b.Commands)
	cmd.Dir, cmd.Env = s.Dir, s.Env
	output, err := cmd.Output()
	if err != nil {
		var words string
		if failed, ok := err.(*exec.ExitError); ok {
			words = string(failed.Stderr)
		}
		return fmt.Errorf("RUNBOOK.md:%d: %w\n%s%s", b.Line, err, output, words)
	}
	return b.Compare(string(output))
}
