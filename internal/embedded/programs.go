package embedded

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// oldest is the first major version with multiranges, which the schema needs.
const oldest = 14

type programs struct {
	Folder  string
	Version string
	major   int
}

func (p programs) String() string { return "Postgres " + p.Version + " in " + p.Folder }

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

// onMachine lists the programs on a PATH, then those in folders that match the patterns,
// newest first.
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

// inspect returns the programs of a folder with their version, or an error if some are
// missing or do not run.
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

// choose finds programs for the data folder: of the major version that made the data, or
// any version for a new folder.
func choose(ctx context.Context, dir string, opts Options) (programs, error) {
	major, err := majorOf(dir)
	if err != nil {
		return programs{}, err
	}
	var looked string
	if opts.Programs != Fetched {
		found := onMachine(ctx, os.Getenv("PATH"), usual)
		for _, p := range found {
			if p.major == major || major == 0 && p.major >= oldest {
				return p, nil
			}
		}
		looked = describe(found)
	}
	if ctx.Err() != nil {
		return programs{}, fmt.Errorf("look for Postgres: %w", context.Cause(ctx))
	}
	if opts.Programs == Machine {
		return programs{}, missing(dir, major, errors.New(looked))
	}
	p, err := fetched(ctx, major, opts)
	if err != nil {
		if looked != "" {
			looked += ", and "
		}
		return programs{}, missing(dir, major, fmt.Errorf("%snone could be fetched: %w", looked, err))
	}
	return p, nil
}

func missing(dir string, major int, why error) error {
	if major == 0 {
		return fmt.Errorf("no Postgres (%d or later) to run: %w; install one, fetch it from another repository "+
			"(EMBEDDED_POSTGRES_REPOSITORY), or use one that runs already (STORAGE_DRIVER=db, DATABASE_URL)", oldest,
			why)
	}
	return fmt.Errorf("the data in %s was made by Postgres %d, which is needed to run it: %w; "+
		"install Postgres %d, or choose another folder (DATA_DIR)", dir, major, why, major)
}

func describe(found []programs) string {
	if len(found) == 0 {
		return "none is on PATH or in the usual folders"
	}
	list := make([]string, len(found))
	for i, p := range found {
		list[i] = p.String()
	}
	return "on this machine there is " + strings.Join(list, ", ")
}

// majorOf returns 0 if there is no data yet.
func majorOf(dir string) (int, error) {
	text, err := os.ReadFile(filepath.Join(dir, dataFolder, "PG_VERSION"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, nil
	case errors.Is(err, fs.ErrPermission):
		return 0,
			fmt.Errorf("%w: the data belongs to another user; start as that user, or choose another folder (DATA_DIR)",
				err)
	case err != nil:
		return 0, err
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("what is in %s is no Postgres data: %w", dir, err)
	}
	return major, nil
}
