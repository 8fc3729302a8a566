// Command run runs the blocks of RUNBOOK.md that need the containers of
// docker-compose.yml, for .ci/compose.
//
//	go run ./internal/runbook/run 'PRELUDE' section...
//
// It runs those of the named sections in the page's order, each after the prelude and the
// definitions in before-you-begin, until the first failure. Without a section it prints
// those that have such blocks.
package main

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/booking-platform/booking-platform/internal/runbook"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	page, err := os.ReadFile("RUNBOOK.md")
	if err != nil {
		return err
	}
	blocks, err := runbook.Parse(string(page))
	if err != nil {
		return err
	}
	blocks = slices.DeleteFunc(blocks, func(b runbook.Block) bool { return !b.Compose })
	if len(args) < 2 {
		for _, b := range blocks {
			fmt.Println(b.Section)
		}
		return nil
	}
	shell := runbook.Shell{Prelude: args[0], Env: os.Environ()}
	for _, b := range blocks {
		if b.Section == "before-you-begin" {
			shell.Prelude += "\n" + b.Commands
		}
	}
	for _, section := range args[1:] {
		n := 0
		for _, b := range blocks {
			if b.Section != section {
				continue
			}
			fmt.Printf("--> RUNBOOK.md:%d (%s)\n", b.Line, b.Section)
			if err := shell.Run(context.Background(), b); err != nil {
				return err
			}
			n++
		}
		if n == 0 {
			return fmt.Errorf("RUNBOOK.md has no compose block in %q", section)
		}
	}
	return nil
}
