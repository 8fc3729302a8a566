package embedded

import (
	"context"
	"os/exec"
	"strconv"
)

// shutdown is how Postgres is told to end: there are no signals here, but Postgres has
// its own in their place.
type shutdown string

const (
	fast      shutdown = "INT"
	immediate shutdown = "QUIT"
)

func (p *process) send(ctx context.Context, how shutdown) {
	pid := strconv.Itoa(p.cmd.Process.Pid)
	_ = exec.CommandContext(ctx, program(p.programs, "pg_ctl"), "kill", string(how), pid).Run()
}
