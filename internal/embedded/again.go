package embedded

import (
	"context"
	"fmt"
	"os"
	"os/exec"
)

// roleVariable tells a process that this package has started what it is for. It is our
// own executable each time, so nothing has to be installed, and it is caught here before
// the program that it otherwise is begins.
const roleVariable = "BOOKING_PLATFORM_EMBEDDED_ROLE"

const (
	roleGuard = "guard"
	roleFetch = "fetch"
)

func init() {
	switch os.Getenv(roleVariable) {
	case roleGuard:
		os.Exit(runGuard(os.Stdin, os.Stdout))
	case roleFetch:
		os.Exit(runFetch(os.Stdin, os.Stdout))
	}
}

// again is a command that starts our own executable in a role. Only the variable is in
// its environment.
func again(ctx context.Context, role string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find our own executable: %w", err)
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Args[0] = "booking-platform-" + role
	cmd.Env = []string{roleVariable + "=" + role}
	return cmd, nil
}
