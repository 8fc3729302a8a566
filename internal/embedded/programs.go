package embedded

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
)

// oldest has multiranges, which the schema needs.
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

// onMachine lists those on a PATH, then those in matching folders, newest first.
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

// inspect returns an error if some programs are missing or do not run.
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

// choose finds programs of the major version of the data, or any for a new folder.
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

// 0 is a new folder, and gets the version of docker-compose.yml.
var fetchable = map[int]embeddedpostgres.PostgresVersion{
	0:  embeddedpostgres.V16,
	14: embeddedpostgres.V14,
	15: embeddedpostgres.V15,
	16: embeddedpostgres.V16,
	17: embeddedpostgres.V17,
	18: embeddedpostgres.V18,
}

const fetchTimeout = 10 * time.Minute

// fetched programs are unpacked and tried elsewhere and moved into place in one step, so
// those in place are complete.
func fetched(ctx context.Context, major int, opts Options) (programs, error) {
	version, ok := fetchable[major]
	if !ok {
		return programs{}, fmt.Errorf("no Postgres %d is offered", major)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return programs{}, fmt.Errorf("no cache folder: %w", err)
	}
	cache = filepath.Join(cache, "booking-platform")
	name := fmt.Sprintf("postgres-%s-%s-%s", version, runtime.GOOS, runtime.GOARCH)
	place := filepath.Join(cache, name)
	if p, err := inspect(ctx, filepath.Join(place, "bin")); err == nil {
		return p, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return programs{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	lock, err := waitForLock(ctx, place+".lock")
	if err != nil {
		return programs{}, err
	}
	defer func() { _ = lock.Close() }()
	// Another process may have fetched them meanwhile.
	if p, err := inspect(ctx, filepath.Join(place, "bin")); err == nil {
		return p, nil
	}
	opts.Logger.InfoContext(ctx, "fetching Postgres, once", "version", string(version), "into", place)
	return fetch(ctx, lock, place, version, opts.Repository)
}

func fetch(ctx context.Context, lock *os.File, place string, version embeddedpostgres.PostgresVersion,
	repository string) (programs, error) {
	beside := place + ".new"
	defer func() { _ = os.RemoveAll(beside) }()
	if err := errors.Join(os.RemoveAll(beside), os.RemoveAll(place), os.Mkdir(beside, 0o755)); err != nil {
		return programs{}, err
	}
	unpacked := filepath.Join(beside, "programs")
	if err := fetchElsewhere(ctx, lock, fetchOrder{Version: version, Repository: repository, Work: beside,
		Into: unpacked}); err != nil {
		return programs{}, err
	}
	if _, err := inspect(ctx, filepath.Join(unpacked, "bin")); err != nil {
		return programs{}, fmt.Errorf("what was fetched does not run: %w", err)
	}
	if err := os.Rename(unpacked, place); err != nil {
		return programs{}, err
	}
	return inspect(ctx, filepath.Join(place, "bin"))
}

type fetchOrder struct {
	Version    embeddedpostgres.PostgresVersion
	Repository string
	// Work is for temporary files.
	Work, Into string
}

// fetchElsewhere fetches in another process, because the library takes no context, panics
// if it cannot remove a file, and leaves temporary and open files. The process inherits
// the lock: it may outlive this one.
func fetchElsewhere(ctx context.Context, lock *os.File, o fetchOrder) error {
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	cmd, err := again(ctx, roleFetch)
	if err != nil {
		return err
	}
	cmd.Env = append(os.Environ(), cmd.Env...)
	cmd.Env = append(cmd.Env, "TMPDIR="+o.Work, "TMP="+o.Work)
	cmd.Stdin = bytes.NewReader(text)
	inherit(cmd, lock)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("fetch Postgres %s: %w", o.Version, context.Cause(ctx))
	case errors.As(err, &exit):
		return fmt.Errorf("fetch Postgres %s: %s", o.Version, bytes.TrimSpace(out))
	}
	return err
}

func runFetch(in io.Reader, out io.Writer) int {
	var o fetchOrder
	if err := json.NewDecoder(in).Decode(&o); err != nil {
		fmt.Fprintln(out, err)
		return 1
	}
	// The library cannot fetch without starting a server. It then clears the data folder,
	// and Go refuses to remove a path that ends in a dot: it stops there.
	impossible := o.Into + string(filepath.Separator) + "."
	config := embeddedpostgres.DefaultConfig().
		Version(o.Version).
		CachePath(filepath.Join(o.Work, "download")).
		RuntimePath(o.Into).
		DataPath(impossible).
		Port(0).
		Logger(io.Discard)
	if o.Repository != "" {
		config = config.BinaryRepositoryURL(o.Repository)
	}
	err := embeddedpostgres.NewDatabase(config).Start()
	if err == nil || !strings.HasPrefix(err.Error(), "unable to clean up data directory "+impossible) {
		fmt.Fprintln(out, err)
		return 1
	}
	return 0
}
