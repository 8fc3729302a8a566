package embedded

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"time"
)

// oldest is the first major version with multiranges, which the schema needs.
const oldest = 14

// programs is a folder with the programs of one Postgres.
type programs struct {
	Folder  string
	Version string
	major   int
}

func (p programs) String() string { return "Postgres " + p.Version + " in " + p.Folder }

// Where packages put them. A folder that is not there costs nothing, so the list is the
// same on every system.
var usual = []string{
	"/usr/lib/postgresql/*/bin",         // Debian, Ubuntu
	"/usr/pgsql-*/bin",                  // Red Hat, from postgresql.org
	"/usr/libexec/postgresql*",          // Alpine
	"/usr/local/pgsql/bin",              // From source
	"/opt/homebrew/opt/postgresql*/bin", // Homebrew on ARM
	"/usr/local/opt/postgresql*/bin",    // Homebrew on Intel
	"/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",
	"/Applications/Postgres.app/Contents/Versions/*/bin",
	`C:\Program Files\PostgreSQL\*\bin`,
}

// onMachine lists the programs on a PATH and then those in folders that match the
// patterns, newest first.
func onMachine(ctx context.Context, path string, patterns []string) []programs {
	var found []programs
	seen := map[string]bool{}
	look := func(folder string) (all []programs) {
		if resolved, err := filepath.EvalSymlinks(folder); err == nil && !seen[resolved] {
			seen[resolved] = true
			if p, err := inspect(ctx, folder); err == nil {
				all = append(all, p)
			}
		}
		return all
	}
	for _, folder := range filepath.SplitList(path) {
		if filepath.IsAbs(folder) {
			found = append(found, look(folder)...)
		}
	}
	var others []programs
	for _, pattern := range patterns {
		folders, _ := filepath.Glob(pattern)
		for _, folder := range folders {
			others = append(others, look(folder)...)
		}
	}
	slices.SortStableFunc(others, func(a, b programs) int { return cmp.Compare(b.major, a.major) })
	return append(found, others...)
}

var versionOutput = regexp.MustCompile(`\(PostgreSQL\) ((\d+)\S*)`)

// inspect tells whether a folder has the programs that are needed, and which version they
// are.
func inspect(ctx context.Context, folder string) (programs, error) {
	if _, err := os.Stat(program(folder, "initdb")); err != nil {
		return programs{}, err
	}
	if _, err := os.Stat(program(folder, "postgres")); err != nil {
		return programs{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, program(folder, "postgres"), "--version").CombinedOutput()
	if err != nil {
		return programs{}, fmt.Errorf("run %s: %w: %s", program(folder, "postgres"), err, bytes.TrimSpace(out))
	}
	match := versionOutput.FindSubmatch(out)
	if match == nil {
		return programs{}, fmt.Errorf("%s says %q of itself", program(folder, "postgres"), out)
	}
	major, err := strconv.Atoi(string(match[2]))
	return programs{Folder: folder, Version: string(match[1]), major: major}, err
}

func program(folder, name string) string {
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	return filepath.Join(folder, name)
}
